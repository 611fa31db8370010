"""Checks tokens and signed requests. Each key has one algorithm, and every claim that matters is required (RFC 8725)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any

import jwt
import jwt.types

from stream.access.api_keys import ApiKeys, Cause, RequestRefused
from stream.access.claims import Claims
from stream.access.keys import Key, KeySet, read_keys
from stream.access.revocations import Revocations
from stream.settings.config import Config, ConfigError

TOKEN_BYTES_MAX = 8192
TYPES = ("jwt", "at+jwt")
"""What a header may say that it is (RFC 7519, RFC 9068): in any case, and with or without `application/` before it (RFC 7515)."""

NO_CRIT = "crit: expected none, for no extension that a token may insist on is known here"
"""Even the one that PyJWT knows (RFC 7515, 4.1.11)."""

REQUIRED = ["exp", "iat", "sub", "iss", "aud"]
OPTIONS: jwt.types.Options = {
    "require": REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_sub": False, "verify_jti": False,
}
"""PyJWT checks the signature, the issuer and the audience. The other claims are checked here, by the time that the caller gives."""

SCOPES: dict[str, type | tuple[type, ...]] = {"scope": str, "scp": (str, list)}
"""The claims that may hold scopes: words separated by spaces (RFC 9068) or, as from Okta, a list of words. All of them count."""

LAST = 253_402_300_799
"""The last second that has a date of four digits for its year."""

SHOWN = 80
"""How many characters of a claim a refusal shows."""


class TokenRefused(Exception):
    """The token is not accepted. The text says which claim was wrong and what was expected. `retry` says whether it may be accepted in a moment."""

    def __init__(self, text: str, retry: bool = False) -> None:
        super().__init__(text)
        self.retry = retry


def shown(value: object) -> str:
    """A claim's value, or as much of it as fits into a message."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def text_of(claims: Mapping[str, Any], name: str, least: int) -> str:
    """A claim that is a short text; "" if it is not there."""
    text = claims.get(name, "")
    if not isinstance(text, str) or not least <= len(text) <= 128 or not (text.isprintable() or not text):
        raise TokenRefused(f"{name} {shown(text)}: expected {least} to 128 printable characters")
    return text


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """The scopes that a token has."""
    scopes: set[str] = set()
    for name, forms in SCOPES.items():
        told = claims.get(name, "")
        words = told.split() if isinstance(told, str) else told
        if not isinstance(told, forms) or not all(isinstance(word, str) for word in words):
            raise TokenRefused(f"{name} {shown(told)}: expected words separated by spaces{'' if forms is str else ', or a list of words'}")
        scopes.update(words)
    return frozenset(scopes)


def time_of(claims: Mapping[str, Any], name: str) -> float:
    """A claim that is a time, in seconds since 1970."""
    time = claims[name]
    if not isinstance(time, int | float) or isinstance(time, bool) or not 0 <= time < 1 << 40:
        raise TokenRefused(f"{name} {shown(time)}: expected seconds since 1970")
    return time


def said(seconds: float) -> str:
    """A time as people read it, beside the number that a token has."""
    return f"{seconds:.0f} ({datetime.fromtimestamp(min(seconds, LAST), UTC):%Y-%m-%d %H:%M:%S} UTC)"


class Authenticator:
    """Checks tokens and returns their claims. It costs 40 us (HS256) to 150 us (EdDSA) per token."""

    def __init__(self, keys: Sequence[Key], config: Config) -> None:
        self._config = config
        self.keys = KeySet(keys, config)
        self.api_keys = ApiKeys(config)
        self.revocations = Revocations(config)

    def _key_for(self, header: Mapping[str, Any]) -> Key:
        type = header.get("typ", "jwt")
        if not isinstance(type, str) or type.lower().removeprefix("application/") not in TYPES:
            raise TokenRefused(f"typ {shown(type)}: expected JWT or at+jwt")
        if "crit" in header:
            raise TokenRefused(NO_CRIT)
        key = self.keys.find(header.get("kid", ""))
        if key is None:
            named = f"kid {shown(header['kid'])}" if "kid" in header else "no kid"
            again = "; the keys are fetched again, so send it once more in a moment" if self.keys.may_come else ""
            raise TokenRefused(f"{named}: the token is signed with a key that the server does not know{again}", self.keys.may_come)
        if header.get("alg") != key.algorithm:
            raise TokenRefused(f"alg {shown(header.get('alg'))}: expected the algorithm {key.algorithm} of this key")
        return key

    def _decode(self, token: str) -> dict[str, Any]:
        """The content of a token that one of the keys has signed for this server. Raises TokenRefused otherwise; the text never has a part of the token."""
        config = self._config
        if len(token) > TOKEN_BYTES_MAX:
            raise TokenRefused(f"the token has {len(token)} characters: expected at most {TOKEN_BYTES_MAX}")
        try:
            key = self._key_for(jwt.get_unverified_header(token))
            return jwt.decode(token, key.key, algorithms=[key.algorithm], issuer=config.issuer, audience=config.audience, options=OPTIONS)
        except jwt.MissingRequiredClaimError as error:
            raise TokenRefused(f"{error.claim}: this claim is missing; expected {', '.join(REQUIRED)}") from error
        except jwt.InvalidIssuerError as error:
            raise TokenRefused(f"iss: expected {config.issuer!r}, the setting `issuer`") from error
        except jwt.InvalidAudienceError as error:
            raise TokenRefused(f"aud: expected {config.audience!r}, the setting `audience`, alone or in a list") from error
        except jwt.InvalidSignatureError as error:
            raise TokenRefused("the token is not signed with the server's key") from error
        except (jwt.DecodeError, UnicodeError, ValueError, TypeError, RecursionError) as error:
            raise TokenRefused("this is not a token: expected a JSON Web Token, three parts in base64url with dots between them") from error
        except jwt.PyJWTError as error:    # of the header, before a key was chosen
            raise TokenRefused(NO_CRIT if "crit" in str(error) else "kid: expected text") from error

    def verify(self, token: str, now: float) -> Claims:
        """The claims of a token that is valid at `now`, in seconds since 1970. Raises TokenRefused if it is not valid."""
        config, claims = self._config, self._decode(token)
        issued, expires = time_of(claims, "iat"), time_of(claims, "exp")
        if expires <= now:
            raise TokenRefused(f"exp {said(expires)}: the token has expired; the time here is {said(now)}")
        for name in ("iat", "nbf"):
            if name in claims and time_of(claims, name) > now + config.clock_skew_s:
                raise TokenRefused(f"{name} {said(claims[name])}: the token is not valid yet; the time here is {said(now)}")
        if expires - issued > config.token_lifetime_s_max:
            raise TokenRefused(f"exp: the token is valid for {int(expires - issued)} seconds: expected at most {config.token_lifetime_s_max}")
        found = Claims(text_of(claims, "sub", 1), scopes_of(claims), int(expires), issued, text_of(claims, "jti", 0))
        if self.revocations.refuse(found):
            raise TokenRefused("the token has been revoked")
        return found

    def verify_request(self, id: str, signed: bytes, signature: str, now: float) -> Claims:
        """The claims of whoever has signed these bytes with an API key. `now` is in seconds since 1970.

        Raises RequestRefused. Whether the request is in its window is up to `signed_requests`.
        """
        claims, _ = self.api_keys.verify(id, signed, signature, now)
        return self._not_revoked(claims)

    def verify_sha512(self, id: str, signed: bytes, signature: str, now: float) -> Claims:
        """The same for HMAC-SHA512 in base64."""
        return self._not_revoked(self.api_keys.verify_sha512(id, signed, signature, now))

    def voucher(self, id: str, expires: int) -> str:
        """A text that stands for an API key until a time, in seconds since 1970. Every process with the same master key takes it.

        Raises RequestRefused if there is no master key.
        """
        text = f"{id}.{expires}"
        return f"{text}.{self.api_keys.seal(text)}"

    def redeem(self, voucher: str, now: float) -> Claims:
        """The claims of the API key that a voucher stands for. Raises RequestRefused if it is not a good one, or the key is good no longer."""
        text, _, seal = voucher.rpartition(".")
        if not compare_digest(seal.encode(), self.api_keys.seal(text).encode()):
            raise RequestRefused(Cause.SIGNATURE, "this is not a voucher of the server")
        id, _, expires = text.rpartition(".")
        if int(expires) <= now:
            raise RequestRefused(Cause.LATE, "the voucher has expired")
        return self._not_revoked(self.api_keys.valid(id, now).claims())

    def _not_revoked(self, claims: Claims) -> Claims:
        if self.revocations.refuse(claims):
            raise RequestRefused(Cause.KEY, "the API key has been revoked")
        return claims


def mint(config: Config, subject: str, scopes: Sequence[str], lifetime_s: int, now: int) -> str:
    """A token signed with the configured HS256 key, for development. Raises ConfigError if there is no such key."""
    for key in read_keys(config):
        if key.algorithm == "HS256":
            claims = {"sub": subject, "scope": " ".join(scopes), "iss": config.issuer, "aud": config.audience, "iat": now, "exp": now + lifetime_s}
            return jwt.encode(claims, key.key, algorithm=key.algorithm, headers={"kid": key.kid} if key.kid else None)
    raise ConfigError("there is no HS256 key: a token for another key can only be made with its private key")
