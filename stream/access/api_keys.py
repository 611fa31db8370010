"""API keys: who signs each request instead of bearing a token. A key belongs to a subject and has scopes, as a token does.

With Ed25519 the server has the public key alone. With HMAC-SHA256 it must know the secret to check a signature. It keeps no secret in the file of keys: it
derives each one from a master key, which is in another file, and from all that the file says about the key. So the file of keys gives nothing away without
the master key, and a key whose subject, scopes or times are edited has another secret, which nobody was given.
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as BadEncoding
from collections.abc import Callable
from enum import Enum, auto
from typing import Annotated, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Meta, Struct

from stream.access.claims import Claims
from stream.access.revocations import Revocation
from stream.settings.config import Config, ConfigError
from stream.wire.channels import ACCOUNT_SCOPE, ADMIN_SCOPE, MARKET_SCOPE, TRADE_SCOPE

API_KEYS_MAX = 10_000
"""The most keys in one file, those that are revoked or have expired among them."""

MASTER_BYTES_MIN = 32

HEX = frozenset("0123456789abcdefABCDEF")

SCOPES = frozenset({MARKET_SCOPE, ACCOUNT_SCOPE, TRADE_SCOPE, ADMIN_SCOPE})

Id = Annotated[str, Meta(pattern="^[0-9A-Za-z_-]{1,128}$")]
Seconds = Annotated[int, Meta(ge=0, lt=1 << 40)]


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="is", tag="key"):
    """A line of the file: a key. Times are in seconds since 1970. `ed25519` is the public key, 32 bytes in base64; "" for HMAC-SHA256."""

    id: Id
    subject: Annotated[str, Meta(min_length=1, max_length=128)]
    scopes: tuple[str, ...]
    created: Seconds
    expires: Seconds
    ed25519: str = ""

    @property
    def scheme(self) -> str:
        """How its owner signs."""
        return "Ed25519" if self.ed25519 else "HMAC-SHA256"

    def claims(self) -> Claims:
        """What a token with the same rights would say. Its id is the key's: whoever revokes the one revokes the other."""
        return Claims(self.subject, frozenset(self.scopes), self.expires, self.created, self.id)


class RevokedKey(Struct, frozen=True, forbid_unknown_fields=True, tag_field="is", tag="revoked"):
    """A line of the file: a key that is good no longer, and since when."""

    id: Id
    at: Seconds


class KeyFile(NamedTuple):
    """What is in a file of keys."""

    keys: dict[str, ApiKey]
    revoked: list[Revocation]


def read_lines(text: bytes) -> KeyFile:
    """The content of a file, one JSON object per line. Raises ConfigError, which names the line that cannot be read."""
    found = KeyFile({}, [])
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = msgspec.json.decode(line, type=ApiKey | RevokedKey)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"line {number}: {error}") from error
        if isinstance(entry, RevokedKey):
            found.revoked.append(Revocation(entry.at, token_id=entry.id))
        elif entry.id in found.keys:
            raise ConfigError(f"line {number}: key {entry.id}: expected another id, for there is such a key before it")
        elif len(found.keys) == API_KEYS_MAX:
            raise ConfigError(f"line {number}: expected at most {API_KEYS_MAX} keys")
        elif unknown := set(entry.scopes) - SCOPES:
            raise ConfigError(f"line {number}: scopes {sorted(unknown)}: expected some of {', '.join(sorted(SCOPES))}")
        else:
            found.keys[entry.id] = entry
    return found


def as_line(entry: ApiKey | RevokedKey) -> bytes:
    """A key, or its end, as it stands in the file."""
    return msgspec.json.encode(entry) + b"\n"


def secret_of(key: ApiKey, master: bytes) -> str:
    """The secret of a key for HMAC-SHA256, 64 hexadecimal digits. Its owner signs with this text."""
    return hmac.digest(master, b"the secret of an API key: " + msgspec.json.encode(key), "sha256").hex()


def public_key_in(pem: bytes) -> Ed25519PublicKey:
    """The key in a PEM file. Raises ConfigError for anything but a public key for Ed25519."""
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        private = " This is a private key, which its owner alone should have: make the file with `openssl pkey -in PRIVATE.pem -pubout`."
        raise ConfigError(f"expected a public key for Ed25519 as PEM.{private if b'PRIVATE KEY' in pem else ''}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError("the key is for another algorithm: expected Ed25519")
    return key


class Cause(Enum):
    """Why a signed request is refused."""

    KEY = auto()          # unknown, expired or revoked
    SIGNATURE = auto()    # not this key's, or not of these bytes
    AHEAD = auto()        # its timestamp is in the future
    LATE = auto()         # its timestamp is further in the past than its window allows


class RequestRefused(Exception):
    """A signed request is not accepted, and why. The text never has a part of a secret or of a signature."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


Check = Callable[[bytes, bytes], bool]
"""Whether a signature is that of these bytes."""


def hmac_check(secret: str) -> Check:
    """The check of a key for HMAC-SHA256."""
    key = secret.encode()
    return lambda signature, signed: hmac.compare_digest(signature, hmac.digest(key, signed, "sha256"))


def ed25519_check(public: str) -> Check:
    """The check of a key for Ed25519."""
    verify = Ed25519PublicKey.from_public_bytes(b64decode(public, validate=True)).verify

    def check(signature: bytes, signed: bytes) -> bool:
        try:
            verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    return check


def signature_in(text: str, key: ApiKey) -> bytes:
    """The bytes of a signature: 88 characters of base64 for Ed25519, else 64 hexadecimal ones. b"" if it is written in any other way."""
    if not key.ed25519:
        return bytes.fromhex(text) if len(text) == 64 and HEX.issuperset(text) else b""
    try:
        return b64decode(text, validate=True) if len(text) == 88 else b""
    except (BadEncoding, ValueError):
        return b""


class ApiKeys:
    """The keys of a server. A request costs 3 us (HMAC-SHA256) or 110 us (Ed25519)."""

    def __init__(self, config: Config) -> None:
        self._lifetime_s_max = config.api_key_lifetime_s_max
        self._keys: dict[str, ApiKey] = {}
        self._master = b""
        self._checks: dict[str, Check] = {}    # of the keys that have been used

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, keys: dict[str, ApiKey], master: bytes) -> None:
        """Use these keys from now on. Raises ConfigError, and changes nothing, if one of them cannot be used."""
        for key in keys.values():
            if key.expires - key.created > self._lifetime_s_max:
                raise ConfigError(f"key {key.id}: it is valid for {key.expires - key.created} seconds: expected at most {self._lifetime_s_max}")
            if not key.ed25519 and len(master) < MASTER_BYTES_MIN:
                raise ConfigError(f"key {key.id} for HMAC-SHA256: expected a master key of at least {MASTER_BYTES_MIN} bytes, the setting `api_keys_master`")
            if key.ed25519:
                try:
                    ed25519_check(key.ed25519)
                except ValueError as error:
                    raise ConfigError(f"key {key.id}: ed25519: expected the 32 bytes of a public key in base64") from error
        self._keys, self._master, self._checks = keys, master, {}

    def find(self, id: str) -> ApiKey | None:
        """The key with an id, whether it has expired or not."""
        return self._keys.get(id)

    def valid(self, id: str, now: float) -> ApiKey:
        """The key with an id. `now` is in seconds since 1970. Raises RequestRefused if there is none, or it has expired."""
        key = self._keys.get(id)
        if key is None or key.expires <= now:
            raise RequestRefused(Cause.KEY, "the API key has expired" if key else "there is no such API key")
        return key

    def verify(self, id: str, signed: bytes, signature: str, now: float) -> tuple[Claims, bytes]:
        """The claims of whoever has signed these bytes, and the signature's own bytes. `now` is in seconds since 1970. Raises RequestRefused."""
        key = self.valid(id, now)
        check = self._checks.get(id)
        if check is None:
            check = self._checks[id] = ed25519_check(key.ed25519) if key.ed25519 else hmac_check(secret_of(key, self._master))
        given = signature_in(signature, key)
        if not check(given, signed):
            expected = "base64" if key.ed25519 else "hexadecimal digits"
            raise RequestRefused(Cause.SIGNATURE, f"the signature is not that of this key over these bytes: expected {key.scheme} in {expected}")
        return key.claims(), given

    def verify_sha512(self, id: str, signed: bytes, signature: str, now: float) -> Claims:
        """The claims of whoever has signed these bytes with HMAC-SHA512, with the bytes that the text of the secret is in base64. Raises RequestRefused.

        The signature is in base64. Only a key for HMAC has a secret.
        """
        key = self.valid(id, now)
        if key.ed25519 or not hmac.compare_digest(signature.encode(), b64encode(hmac.digest(b64decode(secret_of(key, self._master)), signed, "sha512"))):
            raise RequestRefused(Cause.SIGNATURE, "the signature is not that of this key over these bytes: expected HMAC-SHA512 in base64")
        return key.claims()

    def seal(self, text: str) -> str:
        """What only a server with this master key can put behind a text: 64 hexadecimal digits. Raises RequestRefused if there is no master key."""
        if len(self._master) < MASTER_BYTES_MIN:
            raise RequestRefused(Cause.KEY, "the server has no master key of API keys")
        return hmac.digest(self._master, b"a text of the server: " + text.encode(), "sha256").hex()
