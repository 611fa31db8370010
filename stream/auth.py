"""Who a token says somebody is. One algorithm a key; every claim that matters is required (RFC 8725)."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jwt

from stream.config import Config, ConfigError

TOKEN_BYTES_MAX = 8192
TYPES = (None, "JWT", "at+jwt")


class TokenRefused(Exception):
    """The token is not accepted; the text says why."""


class Claims(NamedTuple):
    """What a token says. `expires` is in seconds since 1970."""

    subject: str
    scopes: frozenset[str]
    expires: int


class Key(NamedTuple):
    """A key, the only algorithm that it is used with, and the id that tokens may name it by."""

    algorithm: str
    key: Any
    kid: str = ""


def key_of(algorithm: str, text: str, kid: str = "") -> Key:
    """A key out of a secret or PEM text. ConfigError if it is none, or too short."""
    method = jwt.get_algorithm_by_name(algorithm)
    try:
        key = method.prepare_key(text)
    except (jwt.InvalidKeyError, ValueError, TypeError) as error:
        raise ConfigError(f"key {kid!r} for {algorithm}: {error}") from error
    if problem := method.check_key_length(key):
        raise ConfigError(f"key {kid!r} for {algorithm}: {problem}")
    return Key(algorithm, key, kid)


class Authenticator:
    """Turns tokens into claims. Costs 40 us (HS256) to 150 us (EdDSA) a token."""

    def __init__(self, keys: Sequence[Key], config: Config) -> None:
        self._keys = keys
        self._config = config

    @property
    def has_keys(self) -> bool:
        """Whether anybody can sign in."""
        return bool(self._keys)

    def _key_for(self, header: Mapping[str, Any]) -> Key:
        if header.get("typ") not in TYPES:
            raise TokenRefused(f"type {str(header.get('typ'))[:40]!r}: expected JWT or at+jwt")
        kid = header.get("kid", "")
        for key in self._keys:
            if key.kid == kid or (not kid and len(self._keys) == 1):
                if header.get("alg") != key.algorithm:
                    raise TokenRefused(f"algorithm {str(header.get('alg'))[:40]!r}: expected {key.algorithm} for this key")
                return key
        raise TokenRefused("signed with a key that is not known")

    def verify(self, token: str, now: float) -> Claims:
        """The claims of a token that is valid at `now`, in seconds since 1970. TokenRefused if it is not."""
        config = self._config
        if len(token) > TOKEN_BYTES_MAX:
            raise TokenRefused(f"{len(token)} characters: expected at most {TOKEN_BYTES_MAX}")
        try:
            key = self._key_for(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                issuer=config.issuer,
                audience=config.audience,
                options={"require": ["exp", "iat", "sub", "iss", "aud"], "strict_aud": True, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except (jwt.PyJWTError, UnicodeError, ValueError, TypeError, RecursionError) as error:
            raise TokenRefused(str(error)[:200]) from error
        times = [claims["iat"], claims["exp"], claims.get("nbf", claims["iat"])]
        if not all(isinstance(time, int | float) and not isinstance(time, bool) and 0 <= time < 1 << 40 for time in times):
            raise TokenRefused("iat, exp and nbf: expected seconds since 1970")
        issued, expires, begins = times
        if expires <= now:
            raise TokenRefused("the token has expired")
        if max(issued, begins) > now + config.clock_skew_s:
            raise TokenRefused("the token is not valid yet")
        if expires - issued > config.token_lifetime_s_max:
            raise TokenRefused(f"the token lives for {int(expires - issued)} seconds: expected at most {config.token_lifetime_s_max}")
        subject, scope = claims["sub"], claims.get("scope", "")
        if not isinstance(subject, str) or not 0 < len(subject) <= 128 or not subject.isprintable():
            raise TokenRefused("sub: expected 1 to 128 printable characters")
        if not isinstance(scope, str):
            raise TokenRefused("scope: expected words separated by spaces")
        return Claims(subject, frozenset(scope.split()), int(expires))


def load_keys(config: Config) -> list[Key]:
    """The configured keys; without any, on a local address, a development key that is made when it is first needed."""
    keys = []
    for entry in config.keys:
        try:
            text = entry.key or Path(entry.file).read_text().strip()
        except OSError as error:
            raise ConfigError(f"key file {entry.file}: {error.strerror}") from error
        keys.append(key_of(entry.algorithm, text, entry.kid))
    if keys or config.host not in ("127.0.0.1", "::1", "localhost"):
        return keys
    path = Path(config.key_file)
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(48) + "\n")
        return [key_of("HS256", path.read_text().strip())]
    except OSError as error:
        raise ConfigError(f"development key {path}: {error.strerror}") from error


def mint(config: Config, subject: str, scopes: Sequence[str], lifetime_s: int, now: int) -> str:
    """A token signed with the configured HS256 key, for development. ConfigError if there is none."""
    for key in load_keys(config):
        if key.algorithm == "HS256":
            claims = {"sub": subject, "scope": " ".join(scopes), "iss": config.issuer, "aud": config.audience, "iat": now, "exp": now + lifetime_s}
            return jwt.encode(claims, key.key, algorithm=key.algorithm, headers={"kid": key.kid} if key.kid else None)
    raise ConfigError("no HS256 key: tokens for other keys are made by whoever has the private key")
