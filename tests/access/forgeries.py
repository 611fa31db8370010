"""Keys, good tokens, and every kind of token that nobody may get in with: for bob, and with every scope unless they say otherwise."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from stream.access.auth import Authenticator
from stream.access.keys import key_of
from stream.access.revocations import Revocation
from stream.settings.config import Config
from tests.setting import SECRET

ALGORITHMS = {"ed": "EdDSA", "es": "ES256", "rs": "RS256", "hs": "HS256"}
"""The key ids, and the one algorithm of each."""

EVERY_SCOPE = ("market", "account", "trade", "admin")


def new_keys() -> dict[str, Any]:
    """A private key for each key id that has a public one."""
    return {"ed": ed25519.Ed25519PrivateKey.generate(), "es": ec.generate_private_key(ec.SECP256R1()), "rs": rsa.generate_private_key(65537, 2048)}


def pem(key: Any) -> str:
    """The public key as text."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


PRIVATE: dict[str, Any] = new_keys() | {"hs": SECRET}
STRANGERS: dict[str, Any] = new_keys() | {"hs": SECRET.upper()}
PUBLIC = {kid: SECRET if kid == "hs" else pem(key) for kid, key in PRIVATE.items()}


def authenticator(config: Config, now: int) -> Authenticator:
    """One that knows a key of each algorithm, and has revoked the token `revoked` and the subject `revoked`."""
    known = Authenticator([key_of(algorithm, PUBLIC[kid], kid) for kid, algorithm in ALGORITHMS.items()], config)
    known.revocations.add(Revocation(now, token_id="revoked"))
    known.revocations.add(Revocation(now, subject="revoked"))
    return known


def claims_of(subject: str, now: int, **changes: Any) -> dict[str, Any]:
    """Claims that are good at `now`, in seconds since 1970, but for the changes; None leaves one out."""
    claims = {"sub": subject, "iss": "deltabook", "aud": "deltabook", "iat": now, "exp": now + 10_000, "scope": " ".join(EVERY_SCOPE)} | changes
    return {name: value for name, value in claims.items() if value is not None}


def assembled(claims: dict[str, Any], sign: Callable[[bytes], bytes], **header: Any) -> str:
    """A token whose header and signature are whatever one likes."""
    body = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    return (body + b"." + urlsafe_b64encode(sign(body)).rstrip(b"=")).decode()


def signed(claims: dict[str, Any], by: str = "ed", key: Any = None, **headers: Any) -> str:
    """A token, signed by the key of that id, or by another one for its algorithm."""
    method = jwt.get_algorithm_by_name(ALGORITHMS[by])
    key = method.prepare_key(key or PRIVATE[by])
    return assembled(claims, lambda body: method.sign(body, key), **{"alg": ALGORITHMS[by], "typ": "JWT", "kid": by} | headers)


def good(subject: str, now: int, scopes: tuple[str, ...] = EVERY_SCOPE, **changes: Any) -> str:
    """A token that is as it should be."""
    return signed(claims_of(subject, now, scope=" ".join(scopes), **changes))


def bad_tokens(now: int) -> dict[str, str]:
    """Every kind, by name."""
    bob = claims_of("bob", now)
    own = json.loads(jwt.get_algorithm_by_name("EdDSA").to_jwk(STRANGERS["ed"].public_key()))
    wrong_claims: dict[str, dict[str, Any]] = {
        "expired": {"iat": now - 60, "exp": now},
        "issued in the future": {"iat": now + 60, "exp": now + 120},
        "not valid yet": {"nbf": now + 60},
        "another audience": {"aud": "another"},
        "several other audiences": {"aud": ["another", "deltabook2"]},
        "another issuer": {"iss": "another"},
        "several issuers": {"iss": ["deltabook"]},
        "too long a life": {"exp": now + 31 * 24 * 3600},
        "ends never": {"exp": float("inf")},
        "ends soon": {"exp": "soon"},
        "issued truly": {"iat": True},
        "for nobody": {"sub": ""},
        "for a number": {"sub": 0},
        "for two lines": {"sub": "bob\nroot"},
        "a list of scopes": {"scope": list(EVERY_SCOPE)},
        "a number as its id": {"jti": 5},
        "revoked by id": {"jti": "revoked"},
        "revoked by subject": {"sub": "revoked"},
        **{f"no {claim}": {claim: None} for claim in ("sub", "iss", "aud", "iat", "exp")},
    }
    wrong_headers: dict[str, dict[str, Any]] = {
        "another type": {"typ": "logout+jwt"},
        "a type that is a number": {"typ": 5},
        "an unknown key": {"kid": "other"},
        "no key id": {"kid": ""},
        "an extension that must be understood": {"crit": ["x"], "x": 1},
        "detached": {"b64": False, "crit": ["b64"]},
    }

    def as_secret(kid: str) -> Callable[[bytes], bytes]:
        return lambda body: hmac.digest(PUBLIC[kid].encode(), body, hashlib.sha256)

    mallorys = good("mallory", now)
    head, body, signature = mallorys.split(".")
    return {
        **{name: signed(claims_of("bob", now, **changes)) for name, changes in wrong_claims.items()},
        **{name: signed(bob, **headers) for name, headers in wrong_headers.items()},
        **{f"another key as {kid}": signed(bob, kid, key) for kid, key in STRANGERS.items()},
        **{f"no algorithm for {kid}": assembled(bob, lambda _: b"", alg="none", typ="JWT", kid=kid) for kid in ALGORITHMS},
        **{f"the public key of {kid} as a secret": assembled(bob, as_secret(kid), alg="HS256", typ="JWT", kid=kid) for kid in ("ed", "es", "rs")},
        **{f"{of} signs for {kid}": signed(bob, of, kid=kid) for of, kid in (("rs", "ed"), ("ed", "es"), ("es", "rs"), ("hs", "rs"), ("ed", "hs"))},
        "no algorithm, oddly spelt": assembled(bob, lambda _: b"", alg="nOnE", typ="JWT", kid="ed"),
        "a longer hash": assembled(bob, lambda body: hmac.digest(SECRET.encode(), body, hashlib.sha512), alg="HS512", typ="JWT", kid="hs"),
        "a key that it brings along": signed(bob, "ed", STRANGERS["ed"], jwk=own, jku="https://a.example/keys"),
        "changed claims": ".".join((head, signed(bob).split(".")[1], signature)),
        "a changed signature": ".".join((head, body, signed(bob).split(".")[2])),
        "a short signature": mallorys[:-6],
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "five parts": f"{mallorys}.{body}.{signature}",
        "nonsense": "nonsense",
        "nothing": "",
    }
