"""Who a token says somebody is. One algorithm a key; every claim that matters is required (RFC 8725)."""

from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from stream.claims import Claims
from stream.config import Config, ConfigError
from stream.keys import Key, KeySet, load_keys
from stream.revocations import Revocations

TOKEN_BYTES_MAX = 8192
TYPES = (None, "JWT", "at+jwt")


class TokenRefused(Exception):
    """The token is not accepted; the text says why, and `retry` whether it may be good in a moment."""

    def __init__(self, text: str, retry: bool = False) -> None:
        super().__init__(text)
        self.retry = retry


class Authenticator:
    """Turns tokens into claims. Costs 40 us (HS256) to 150 us (EdDSA) a token."""

    def __init__(self, keys: Sequence[Key], config: Config) -> None:
        self._config = config
        self.keys = KeySet(keys, config)
        self.revocations = Revocations(config)

    def _key_for(self, header: Mapping[str, Any]) -> Key:
        if header.get("typ") not in TYPES:
            raise TokenRefused(f"type {str(header.get('typ'))[:40]!r}: expected JWT or at+jwt")
        key = self.keys.find(header.get("kid", ""))
        if key is None:
            again = "; the keys are fetched again, so send it once more in a moment" if self.keys.may_come else ""
            raise TokenRefused(f"signed with a key that is not known{again}", self.keys.may_come)
        if header.get("alg") != key.algorithm:
            raise TokenRefused(f"algorithm {str(header.get('alg'))[:40]!r}: expected {key.algorithm} for this key")
        return key

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
        except jwt.InvalidSignatureError as error:
            raise TokenRefused("the token is signed with another key than the server's") from error
        except jwt.DecodeError as error:
            raise TokenRefused(f"this is no token: {str(error)[:200]}") from error
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
        token_id = claims.get("jti", "")
        if not isinstance(token_id, str) or len(token_id) > 128:
            raise TokenRefused("jti: expected at most 128 characters")
        found = Claims(subject, frozenset(scope.split()), int(expires), issued, token_id)
        if self.revocations.refuse(found):
            raise TokenRefused("the token has been revoked")
        return found


def mint(config: Config, subject: str, scopes: Sequence[str], lifetime_s: int, now: int) -> str:
    """A token signed with the configured HS256 key, for development. ConfigError if there is none."""
    for key in load_keys(config):
        if key.algorithm == "HS256":
            claims = {"sub": subject, "scope": " ".join(scopes), "iss": config.issuer, "aud": config.audience, "iat": now, "exp": now + lifetime_s}
            return jwt.encode(claims, key.key, algorithm=key.algorithm, headers={"kid": key.kid} if key.kid else None)
    raise ConfigError("no HS256 key: tokens for other keys are made by whoever has the private key")
