"""Commands that another process forwards: run once, however often they are sent, and the same wherever they are replayed."""

import re

import msgspec

from engine import CommandKind, Exchange
from stream.commands.entry import Entry
from stream.commands.results import Keyed, Results
from stream.wire.codes import ErrorCode

COMMAND_BYTES = 88
KIND_OFFSET = 78
KINDS = frozenset(CommandKind)

COMMANDS_MAX = 1 << 20
"""Commands of one group: some 90 MB, a second of work."""

NUMBER_MAX = 1 << 63

ENTRY = re.compile(
    r"(?:kept|grace|dead_man):(?P<account>0|[1-9]\d{0,9})|(?:guard|ended):(?P<guarded>0|[1-9]\d{0,9}):\d{1,20}\.\d{1,20}"
    r"|present:(?P<present>0|[1-9]\d{0,9}):\d{1,20}|(?:revoked_token|revoked_subject|closed_subject|closed_connection):(?s:.{1,128})", re.ASCII,
)
"""The keys of what a gateway may have remembered: whose channels are kept, who is there and what is to happen when they are gone, what an admin says."""

WORDS = re.compile(r"gateway:\d{1,20}|(?:asked_connections|told_connections:\d{1,20}):\d{1,20}:\d{1,20}", re.ASCII)
"""The keys of what gateways tell each other, whose values are no numbers."""

WORDS_BYTES_MAX = 2 << 20

ENTRY_VALUE_MAX = 1 << 62
"""A time or a length of time in ns is no longer."""

ORIGINS_MAX = 1 << 12
"""Origins whose last number is remembered: those that have forwarded something most recently."""

ORIGIN = "origin"
"""The kind of key under which the directory has the number of an origin's last group."""

REPEATED = -1
"""In place of an index: the command did not run, for its key had been used."""

NOT_RUN = -2
"""In place of an index: the command did not run, for the group was refused."""

STOPPED = {
    ErrorCode.TOO_LATE: KINDS - {CommandKind.CANCEL},
    ErrorCode.DISK_NEARLY_FULL: frozenset({CommandKind.PLACE, CommandKind.REPLACE}),
    ErrorCode.BAD_GROUP: KINDS,
}
"""The kinds of commands that do not run in a group that is refused. To cancel one order does no harm however late, and may be all that its owner asked for
in case the connection is lost."""


class Forwarded(msgspec.Struct, frozen=True, array_like=True):
    """The group `number`, from 1 without a gap, of the process `origin`: commands of 88 bytes, those with a key, and what is to be remembered.

    `refused` is why not all of its commands run, one of STOPPED, if the engine has found a reason. A group that cannot be run at all is journaled
    without commands, keys and entries, so that its number is used and its origin learns of it.
    """

    origin: int
    number: int
    commands: bytes
    keyed: list[Keyed]
    entries: list[Entry]
    refused: int = 0


decode_forwarded = msgspec.msgpack.Decoder(Forwarded).decode


def fault(group: Forwarded, accounts: int) -> str:
    """Why a group, of a process that may be of another version, could not be run or replayed by an exchange of so many accounts; "" if it can. O(group)."""
    count, odd = divmod(len(group.commands), COMMAND_BYTES)
    unknown = set(group.commands[KIND_OFFSET::COMMAND_BYTES]) - KINDS
    places = [keyed.place for keyed in group.keyed]
    if not 0 <= group.origin < NUMBER_MAX or not 0 < group.number < NUMBER_MAX:
        return f"group {group.number} of origin {group.origin}: expected numbers below 2^63"
    if odd or count > COMMANDS_MAX:
        return f"{len(group.commands)} bytes of commands: expected a multiple of {COMMAND_BYTES}, at most {COMMANDS_MAX} times"
    if unknown:
        return f"a command of kind {min(unknown)}: expected {min(KINDS)} to {max(KINDS)}"
    if places != sorted(set(places)) or (places and not 0 <= places[0] <= places[-1] < count):
        return f"keys of the commands {places[:3]}...: expected the places of some of {count} commands, in order"
    for _, account, key in group.keyed:
        if not 0 <= account < accounts or not 0 < key < NUMBER_MAX:
            return f"key {key} of account {account}: expected one below 2^63, of one of {accounts} accounts"
    for entry in group.entries:
        if WORDS.fullmatch(entry.key) and len(entry.value) <= WORDS_BYTES_MAX:
            continue
        named = ENTRY.fullmatch(entry.key)
        if not named or int(named["account"] or named["guarded"] or named["present"] or 0) >= accounts:
            return f"an entry under {entry.key[:80]!r}: expected what is kept, or what is to happen, for one of {accounts} accounts"
        if int.from_bytes(entry.value, "little") > ENTRY_VALUE_MAX:
            return f"{len(entry.value)} bytes under {entry.key!r}: expected at most {ENTRY_VALUE_MAX} ns"
    return ""


def not_run(origin: int, number: int) -> Forwarded:
    """What is journaled in the place of a group that cannot be run."""
    return Forwarded(origin, number, b"", [], [], int(ErrorCode.BAD_GROUP))


def last_number(directory: dict[str, bytes], origin: int) -> int:
    """The number of the last group of an origin that has run; 0 for none."""
    return int.from_bytes(directory.get(f"{ORIGIN}:{origin}", b""), "little")


def run(exchange: Exchange, directory: dict[str, bytes], results: Results, forwarded: Forwarded, time: int) -> list[int]:
    """Run a group at `time`, but for the commands whose key has been used; for each command its index in the exchange's call, or REPEATED, or NOT_RUN."""
    commands, count = forwarded.commands, len(forwarded.commands) // COMMAND_BYTES
    if forwarded.refused and forwarded.refused not in STOPPED:
        raise ValueError(f"a group that did not run for reason {forwarded.refused}: expected {', '.join(str(int(code)) for code in STOPPED)}")
    stopped = STOPPED[ErrorCode(forwarded.refused)] if forwarded.refused else ()
    left_out = {place: NOT_RUN for place, kind in enumerate(commands[KIND_OFFSET::COMMAND_BYTES]) if kind in stopped} if stopped else {}
    left_out |= {place: REPEATED for place, account, key in forwarded.keyed if (account, key) in results}
    indexes = list(range(count))
    if left_out:
        others = [place for place in range(count) if place not in left_out]
        commands = b"".join(commands[place * COMMAND_BYTES : (place + 1) * COMMAND_BYTES] for place in others)
        found = left_out | {place: index for index, place in enumerate(others)}
        indexes = [found[place] for place in range(count)]
    exchange.execute(commands)
    results.take(exchange, [each._replace(place=indexes[each.place]) for each in forwarded.keyed if each.place not in left_out], time)
    for entry in forwarded.entries:
        entry.change(directory)
    _note(directory, forwarded)
    return indexes


def _note(directory: dict[str, bytes], forwarded: Forwarded) -> None:
    key = f"{ORIGIN}:{forwarded.origin}"
    if key not in directory:
        origins = [name for name in directory if name.startswith(f"{ORIGIN}:")]
        for name in origins[: max(0, len(origins) + 1 - ORIGINS_MAX)]:
            del directory[name]
    directory.pop(key, None)    # so that they stand in the order of their last group
    directory[key] = forwarded.number.to_bytes(8, "little")
