"""Commands that another process forwards: run once, however often they are sent, and the same wherever they are replayed."""

import msgspec

from engine import Exchange
from stream.journal.format import Entry
from stream.results import Keyed, Results

COMMAND_BYTES = 88

ORIGINS_MAX = 1 << 12
"""Origins whose last number is remembered: those that have forwarded something most recently."""

ORIGIN = "origin"
"""The kind of key under which the directory has the number of an origin's last group."""

REPEATED = -1
"""In place of an index: the command did not run, for its key had been used."""


class Forwarded(msgspec.Struct, frozen=True, array_like=True):
    """The group `number`, from 1 without a gap, of the process `origin`: commands of 88 bytes, those with a key, and what is to be remembered."""

    origin: int
    number: int
    commands: bytes
    keyed: list[Keyed]
    entries: list[Entry]


decode_forwarded = msgspec.msgpack.Decoder(Forwarded).decode


def last_number(directory: dict[str, bytes], origin: int) -> int:
    """The number of the last group of an origin that has run; 0 for none."""
    return int.from_bytes(directory.get(f"{ORIGIN}:{origin}", b""), "little")


def run(exchange: Exchange, directory: dict[str, bytes], results: Results, forwarded: Forwarded) -> list[int]:
    """Run a group, but for the commands whose key has been used; for each command its index in the exchange's call, or REPEATED."""
    repeated = {place for place, account, key in forwarded.keyed if (account, key) in results}
    commands, count = forwarded.commands, len(forwarded.commands) // COMMAND_BYTES
    indexes = list(range(count))
    if repeated:
        others = [place for place in range(count) if place not in repeated]
        commands = b"".join(commands[place * COMMAND_BYTES :][:COMMAND_BYTES] for place in others)
        indexes = [others.index(place) if place not in repeated else REPEATED for place in range(count)]
    exchange.execute(commands)
    results.take(exchange, [each._replace(place=indexes[each.place]) for each in forwarded.keyed if each.place not in repeated])
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
