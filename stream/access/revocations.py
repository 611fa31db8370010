"""Revoked tokens and API keys, which are invalid although they have not expired: single ones by their id, or all that a subject was issued until then."""

import math
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from stream.access.claims import Claims
from stream.settings.config import Config, ConfigError


class Revocation(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of the file. Either the id of a token or of an API key, or a subject. `at` is in seconds since 1970."""

    at: float
    token_id: Annotated[str, Meta(max_length=128)] = ""
    subject: Annotated[str, Meta(max_length=128)] = ""


class Revocations:
    """What has been revoked. A revocation is forgotten when all tokens and keys that it is about have expired.

    `unsaved` are those that are not in the file yet.
    The issuer's clock may be ahead by `clock_skew_s`. Tokens of a revoked subject that were issued up to that much later are refused too.
    """

    def __init__(self, config: Config) -> None:
        self._skew_s = config.clock_skew_s
        self.kept_s = config.clock_skew_s + max(config.token_lifetime_s_max, config.api_key_lifetime_s_max)
        self._tokens: dict[str, float] = {}
        self._subjects: dict[str, float] = {}
        self.unsaved: dict[tuple[str, str], Revocation] = {}    # by token and subject

    def __len__(self) -> int:
        return len(self._tokens) + len(self._subjects)

    def add(self, revocation: Revocation) -> None:
        """Revoke from here on."""
        for names, name in ((self._tokens, revocation.token_id), (self._subjects, revocation.subject)):
            if name:
                names[name] = max(revocation.at, names.get(name, 0))

    def revoke(self, revocation: Revocation) -> None:
        """The same, for what is not in the file yet."""
        self.add(revocation)
        self.unsaved[revocation.token_id, revocation.subject] = revocation

    def refuse(self, claims: Claims) -> bool:
        """Whether a token has been revoked."""
        return claims.token_id in self._tokens or claims.issued <= self._subjects.get(claims.subject, -math.inf) + self._skew_s

    def forget(self, now: float) -> None:
        """Forget what is older than any token can be."""
        for names in (self._tokens, self._subjects):
            for name in [name for name, at in names.items() if at + self.kept_s < now]:
                del names[name]


def read_lines(text: bytes) -> list[Revocation]:
    """The revocations in a file, one JSON object per line. Raises ConfigError, which names the line that cannot be read."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=Revocation))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ConfigError(f"line {number}: {error}") from error
    return found


def as_line(revocation: Revocation) -> bytes:
    """A revocation as it stands in the file."""
    return msgspec.json.encode(revocation) + b"\n"
