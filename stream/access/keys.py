"""The keys that tokens may be signed with. One algorithm a key, so that no token can choose another one (RFC 8725)."""

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
"""Keys of one key set: each costs up to a tenth of a millisecond to be read."""


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


class Document(Struct):
    """A JSON Web Key Set."""

    keys: list[dict[str, Any]]


def usable(entry: dict[str, Any]) -> Key | None:
    """A key of a key set, if it has a key id and is for signatures of an algorithm that we know."""
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
    """The usable keys of a JSON Web Key Set (RFC 7517). ConfigError if it is no key set, or has none."""
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

    It is fetched early when a token names a key that is not known, but no more often than `jwks_retry_s`. While its source is
    silent or talks nonsense, the keys of the last time stay good.
    """

    def __init__(self, configured: Sequence[Key], config: Config) -> None:
        self._configured = configured
        self._fetched: Sequence[Key] = ()
        self._source = config.jwks
        self._refresh_ns = config.jwks_refresh_s * 10**9
        self._retry_ns = config.jwks_retry_s * 10**9
        self._asked_at: int | None = None
        self._missed = False
        self.failures = 0

    def __bool__(self) -> bool:
        return bool(self._configured or self._source)

    @property
    def may_come(self) -> bool:
        """Whether a key that is not known may be in the key set the next time."""
        return bool(self._source)

    def find(self, id: object) -> Key | None:
        """The key of an id; for a token without one the only key that there is, once the key set is here."""
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
        """Whether the key set is to be fetched now; if so, it counts as asked for."""
        if not self._source:
            return False
        wait = self._retry_ns if self._missed or not self._fetched else self._refresh_ns
        if self._asked_at is not None and now - self._asked_at < wait:
            return False
        self._asked_at = now
        return True

    def take(self, jwks: bytes) -> None:
        """Use the keys of a key set from here on. ConfigError, and no change, if it is none."""
        self._fetched = keys_in(jwks)
        self._missed = False


def load_keys(config: Config) -> list[Key]:
    """The configured keys; without any, on a local address, a development key that is made when it is first needed."""
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
