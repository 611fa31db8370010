"""Commands that another process forwards: run once, however often they are sent, and the same wherever they are replayed."""

import msgspec

from engine import CommandKind, Exchange
from stream.codes import ErrorCode
from stream.journal.format import Entry
from stream.results import Keyed, Results

COMMAND_BYTES = 88
KIND_OFFSET = 78

ORIGINS_MAX = 1 << 12
"""Origins whose last number is remembered: those that have forwarded something most recently."""

ORIGIN = "origin"
"""The kind of key under which the directory has the number of an origin's last group."""

REPEATED = -1
"""In place of an index: the command did not run, for its key had been used."""

NOT_RUN = -2
"""In place of an index: the command did not run, for the group was refused."""

STOPPED = {
    ErrorCode.TOO_LATE: frozenset(CommandKind) - {CommandKind.CANCEL},
    ErrorCode.DISK_NEARLY_FULL: frozenset({CommandKind.PLACE, CommandKind.REPLACE}),
}
"""The kinds of commands that do not run in a group that is refused. To cancel one order does no harm however late, and may be all that its owner asked for
in case the connection is lost."""


class Forwarded(msgspec.Struct, frozen=True, array_like=True):
    """The group `number`, from 1 without a gap, of the process `origin`: commands of 88 bytes, those with a key, and what is to be remembered.

    `refused` is why not all of its commands run, one of STOPPED, if the engine has found a reason.
    """

    origin: int
    number: int
    commands: bytes
    keyed: list[Keyed]
    entries: list[Entry]
    refused: int = 0


decode_forwarded = msgspec.msgpack.Decoder(Forwarded).decode


def last_number(directory: dict[str, bytes], origin: int) -> int:
    """The number of the last group of an origin that has run; 0 for none."""
    return int.from_bytes(directory.get(f"{ORIGIN}:{origin}", b""), "little")


def run(exchange: Exchange, directory: dict[str, bytes], results: Results, forwarded: Forwarded) -> list[int]:
    """Run a group, but for the commands whose key has been used; for each command its index in the exchange's call, or REPEATED, or NOT_RUN."""
    commands, count = forwarded.commands, len(forwarded.commands) // COMMAND_BYTES
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
    results.take(exchange, [each._replace(place=indexes[each.place]) for each in forwarded.keyed if each.place not in left_out])
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
