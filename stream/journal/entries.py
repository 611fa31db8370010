"""The directory as a journal has it: entries in records, all of them in a snapshot.

The keys of earlier versions were strings. They are read here, and nowhere written.
"""

import re

import msgspec

from stream.commands import directory as keys
from stream.commands.directory import Directory, DirectoryKey, Entry, Unknown, decode_entry
from stream.commands.forwarded import Forwarded, decode_forwarded
from stream.commands.results import Keyed, Result
from stream.journal.format import Kind, Record

OF_ENTRIES = Kind.ENTRY, Kind.STRING_ENTRY
OF_GROUPS = Kind.FORWARDED, Kind.STRING_FORWARDED

NAME = "(.*)"
NUMBER = "([0-9]{1,19})"    # all of which are below 2^64

STRING_KEYS: dict[str, tuple[type[DirectoryKey], str]] = {
    "account": (keys.AccountOf, NAME),
    "source": (keys.SourceAccounts, NAME),
    "kept": (keys.KeptAccount, NUMBER),
    "dead_man": (keys.DeadManTimer, NUMBER),
    "grace": (keys.GracePeriod, NUMBER),
    "present": (keys.Present, f"{NUMBER}:{NUMBER}"),
    "guard": (keys.GuardedConnection, f"{NUMBER}:(?:{NUMBER}\\.)?{NUMBER}"),
    "ended": (keys.EndedConnection, f"{NUMBER}:(?:{NUMBER}\\.)?{NUMBER}"),
    "gateway": (keys.GatewayName, NUMBER),
    "asked_connections": (keys.AskedConnections, f"{NUMBER}:{NUMBER}"),
    "told_connections": (keys.ToldConnections, f"{NUMBER}:{NUMBER}:{NUMBER}"),
    "revoked_token": (keys.RevokedToken, NAME),
    "revoked_subject": (keys.RevokedSubject, NAME),
    "closed_subject": (keys.ClosedSubject, NAME),
    "closed_connection": (keys.ClosedConnection, NUMBER),
    "origin": (keys.LastGroup, NUMBER),
    "term": (keys.Term, ""),
    "feed": (keys.ChannelStates, ""),
}
"""The keys that were strings: what the word before the first colon means, and the fields behind it. A connection without a process is of the market's own."""


class _StringEntry(msgspec.Struct, array_like=True):
    key: str
    value: bytes


class _StringForwarded(msgspec.Struct, array_like=True):
    origin: int
    number: int
    commands: bytes
    keyed: list[Keyed]
    entries: list[_StringEntry]
    refused: int = 0


class Beside(msgspec.Struct, frozen=True, array_like=True):
    """What a snapshot has beside the exchange: the directory, the results of requests with a key, and by account when the latest ran that is forgotten."""

    directory: Directory
    results: list[tuple[tuple[int, int], Result]]
    forgotten: dict[int, int] = {}


class _StringBeside(msgspec.Struct, array_like=True):
    directory: dict[str, bytes]
    results: list[tuple[tuple[int, int], Result]]
    forgotten: dict[int, int] = {}


_decode_string_entry = msgspec.msgpack.Decoder(_StringEntry).decode
_decode_string_forwarded = msgspec.msgpack.Decoder(_StringForwarded).decode
_decode_string_beside = msgspec.msgpack.Decoder(_StringBeside).decode
_decode_accounts = msgspec.msgpack.Decoder(list[int]).decode
_decode_beside = msgspec.msgpack.Decoder(Beside).decode


def entry_in(record: Record) -> Entry:
    """The entry in a record of OF_ENTRIES."""
    if record.kind == Kind.STRING_ENTRY:
        return entry_of(_decode_string_entry(record.payload))
    return decode_entry(record.payload)


def group_in(record: Record) -> Forwarded:
    """The group in a record of OF_GROUPS."""
    if record.kind == Kind.STRING_FORWARDED:
        group = _decode_string_forwarded(record.payload)
        return Forwarded(group.origin, group.number, group.commands, group.keyed, [entry_of(entry) for entry in group.entries], group.refused)
    return decode_forwarded(record.payload)


def beside_in(data: memoryview, version: int) -> Beside:
    """What a snapshot of a version of the format has beside the exchange."""
    if version == 1:
        old = _decode_string_beside(data)
        entries = (entry_of(_StringEntry(key, value)) for key, value in old.directory.items())
        return Beside({entry.key: entry.value for entry in entries if entry.value is not None}, old.results, old.forgotten)
    return _decode_beside(data)


def entry_of(old: _StringEntry) -> Entry:
    """An entry whose key was a string. The value was bytes, none of which took the key away: a number was little-endian."""
    key = _key_of(old.key)
    if not old.value:
        return Entry(key, None)
    if key.holds is bool:
        return Entry(key, True)
    if key.holds is int:
        return Entry(key, int.from_bytes(old.value, "little"))
    return Entry(key, _decode_accounts(old.value) if key.holds is list else old.value)


def _key_of(text: str) -> DirectoryKey:
    word, _, rest = text.partition(":")
    if word in STRING_KEYS:
        kind, pattern = STRING_KEYS[word]
        fields = re.fullmatch(pattern, rest, re.DOTALL)
        if fields:
            return msgspec.convert([kind.__struct_config__.tag, *fields.groups("0")], kind, strict=False)
    return Unknown(text)
