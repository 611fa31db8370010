"""The keys that tokens may be signed with. Each key has exactly one algorithm, so that a token cannot choose a different one (RFC 8725)."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import msgspec
from msgspec import Struct

from stream.settings.config import Config, ConfigError

CURVES = {"EdDSA": ("Ed25519", "Ed448"), "ES256": ("P-256",), "RS256": (None,)}
"""The algorithms of public keys, and what a key set may call their curve."""

KEYS_MAX = 256
"""The most keys in one key set. Reading a key costs up to a tenth of a millisecond."""


class Key(NamedTuple):
    """A key, the only algorithm that it is used with, and the id that tokens may name it by."""

    algorithm: str
    key: Any
    kid: str = ""


def key_of(algorithm: str, text: str, kid: str = "") -> Key:
    """A key from a secret or from PEM text. Raises ConfigError if it is not a key, or too short."""
    method = jwt.get_algorithm_by_name(algorithm)
    try:
        key = method.prepare_key(text)
    except (jwt.InvalidKeyError, ValueError, TypeError) as error:
        raise ConfigError(f"key {kid!r} for {algorithm}: {error}") from error
    if problem := method.check_key_length(key):
        raise ConfigError(f"key {kid!r} for {algorithm}: {problem}")
    return Key(algorithm, key, kid)


class Document(Struct):
    """A JSON Web Key Set."""

    keys: list[dict[str, Any]]


def usable(entry: dict[str, Any]) -> Key | None:
    """A key of a key set, if it has a key id and is for signatures with a known algorithm; otherwise None."""
    try:
        key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError, NotImplementedError):
        return None
    if not isinstance(key.key_id, str) or not key.key_id or key.public_key_use not in (None, "sig"):
        return None
    if entry.get("crv") not in CURVES.get(key.algorithm_name, ()) or key.Algorithm.check_key_length(key.key):
        return None
    return Key(key.algorithm_name, key.key, key.key_id)


def keys_in(jwks: bytes) -> list[Key]:
    """The usable keys of a JSON Web Key Set (RFC 7517). Raises ConfigError if it is not a key set, or has no usable key."""
    try:
        entries = msgspec.json.decode(jwks, type=Document).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"key set: {error}") from error
    if len(entries) > KEYS_MAX:
        raise ConfigError(f"key set: {len(entries)} keys: expected at most {KEYS_MAX}")
    keys = [key for entry in entries if (key := usable(entry))]
    if not keys:
        raise ConfigError(f"key set: expected at least one key with a key id for {', '.join(CURVES)}")
    return keys


class KeySet:
    """The configured keys, and those of a key set that is fetched again from time to time. Times are in ns.

    The key set is fetched early when a token names an unknown key, but no more often than every `jwks_retry_s` seconds. While its source does
    not answer, or answers nonsense, the last keys stay valid.
    """

    def __init__(self, configured: Sequence[Key], config: Config) -> None:
        self._configured = configured
        self._fetched: Sequence[Key] = ()
        self._source = config.jwks
        self._refresh_ns = config.jwks_refresh_s * 10**9
        self.retry_ns = config.jwks_retry_s * 10**9
        self._asked_at: int | None = None
        self._missed = False
        self.failures = 0

    def __bool__(self) -> bool:
        return bool(self._configured or self._source)

    @property
    def may_come(self) -> bool:
        """Whether an unknown key may be in the key set when it is fetched next."""
        return bool(self._source)

    def find(self, id: object) -> Key | None:
        """The key with an id. For a token without a key id, it is the only key that there is, once the key set has been fetched."""
        keys = [*self._configured, *self._fetched]
        for key in keys:
            if key.kid == id:
                return key
        if not id and len(keys) == 1 and bool(self._fetched) == bool(self._source):
            return keys[0]
        self._missed = True
        return None

    def configure(self, keys: Sequence[Key]) -> None:
        """Use other configured keys from here on, and have the key set fetched at once."""
        self._configured = keys
        self._asked_at = None

    def due(self, now: int) -> bool:
        """Whether the key set is to be fetched now. If so, it counts as requested."""
        if not self._source:
            return False
        wait = self.retry_ns if self._missed or not self._fetched else self._refresh_ns
        if self._asked_at is not None and now - self._asked_at < wait:
            return False
        self._asked_at = now
        return True

    def take(self, jwks: bytes) -> None:
        """Use the keys of a key set from now on. Raises ConfigError, and changes nothing, if it is not a key set."""
        self._fetched = keys_in(jwks)
        self._missed = False


def read_keys(config: Config) -> list[Key]:
    """The configured keys. If there are none and the address is local: a development key, which is made when it is first needed."""
    keys = []
    for entry in config.keys:
        try:
            text = entry.key or Path(entry.file).read_text().strip()
        except OSError as error:
            raise ConfigError(f"key file {entry.file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"key file {entry.file}: expected text") from error
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
