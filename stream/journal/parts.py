"""One command of a record: its name, and the record without it or without those after it.

The name of a command is its record and, if the record has several commands, its place from 1: `412.3`. `412.0` means all of them. `deltabook serve` and
`journal dump` show such names, and `journal repair --without` takes them.
"""

from collections.abc import Collection
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from stream.commands.forwarded import COMMAND_BYTES, not_run
from stream.journal.entries import OF_ENTRIES, OF_GROUPS, group_in
from stream.journal.format import JournalError, Kind, Record, decode_keyed, encode_keyed

CAN_GO = Kind.COMMANDS, Kind.KEYED_COMMANDS, *OF_GROUPS, *OF_ENTRIES
"""The kinds of records that a journal can be without, or without a command of."""


class CommandName(NamedTuple):
    """A command's record, and its place in it from 1, 0 for all; None where the record has only one."""

    record: int
    place: int | None = None

    def __str__(self) -> str:
        return str(self.record) if self.place is None else f"{self.record}.{self.place}"


def named(text: str) -> CommandName:
    """The command that a text names. ValueError if it is not of the form RECORD or RECORD.PLACE."""
    record, dot, place = text.partition(".")
    if not (record.isdecimal() and int(record)) or (dot and not place.isdecimal()):
        raise ValueError(f"{text!r}: expected RECORD or RECORD.PLACE, numbers of at least 1 as `journal dump` shows them, or RECORD.0 for the whole record")
    return CommandName(int(record), int(place) if dot else None)


def commands_of(record: Record) -> memoryview:
    """The commands of a record."""
    if record.kind == Kind.KEYED_COMMANDS:
        return decode_keyed(record.payload)[1]
    if record.kind in OF_GROUPS:
        return memoryview(group_in(record).commands)
    return record.payload if record.kind == Kind.COMMANDS else record.payload[:0]


def count_of(record: Record) -> int:
    """How many commands a record has, a part of one too; 0 if it is of another kind, or cannot be read."""
    try:
        return -(-len(commands_of(record)) // COMMAND_BYTES)
    except (ValueError, msgspec.MsgspecError):
        return 0


def name_of_command(record: Record, place: int) -> CommandName:
    """The name of the command at a place, counted from 0."""
    return CommandName(record.seq, place + 1 if count_of(record) > 1 else None)


def without(record: Record, name: CommandName) -> tuple[Kind, bytes]:
    """What is left of a record: all of it but the named command, or nothing. JournalError if it has no such command, or several and the name says not which."""
    count = count_of(record)
    if record.kind not in CAN_GO:
        raise JournalError(f"record {record.seq} is of kind {record.kind}: expected one of {', '.join(kind.name.lower() for kind in CAN_GO)}")
    if name.place is None and count > 1:
        raise JournalError(f"record {record.seq} has {count} commands: expected one of {record.seq}.1 to {record.seq}.{count}, or {record.seq}.0 for all")
    place = 1 if name.place is None else name.place
    if place > max(1, count):
        raise JournalError(f"record {record.seq} has no command {name}: expected at most {record.seq}.{count}")
    if place and count > 1:
        return part_of(record, [other for other in range(count) if other != place - 1])
    if record.kind in OF_GROUPS and count:    # its number is used all the same, and who sent it learns of it
        group = group_in(record)
        return Kind.FORWARDED, msgspec.msgpack.encode(not_run(group.origin, group.number))
    return Kind.SEAL, b""


def part_of(record: Record, places: Collection[int]) -> tuple[Kind, bytes]:
    """A record with the commands at some places alone, in their order, and the keys that belong to these. O(the record)."""
    commands = commands_of(record)
    kept = b"".join(commands[place * COMMAND_BYTES : (place + 1) * COMMAND_BYTES] for place in places)
    moved = {place: index for index, place in enumerate(places)}
    if record.kind == Kind.KEYED_COMMANDS:
        keyed = decode_keyed(record.payload)[0]
        return Kind.KEYED_COMMANDS, encode_keyed([each._replace(place=moved[each.place]) for each in keyed if each.place in moved], kept)
    if record.kind in OF_GROUPS:
        group = group_in(record)
        keyed = [each._replace(place=moved[each.place]) for each in group.keyed if each.place in moved]
        return Kind.FORWARDED, msgspec.msgpack.encode(replace(group, commands=kept, keyed=keyed))
    return Kind(record.kind), kept
