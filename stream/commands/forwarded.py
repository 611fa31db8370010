"""Commands that another process forwards. They run once, however often they are sent, and give the same result wherever they are replayed."""

import msgspec

from engine import CommandKind, Exchange
from stream.commands.directory import Directory, Entry, LastGroup, OfGateways, number_under
from stream.commands.results import Keyed, Results
from stream.wire.codes import ErrorCode

COMMAND_BYTES = 88
KIND_OFFSET = 78
KINDS = frozenset(CommandKind)

COMMANDS_MAX = 1 << 20
"""The most commands of one group: about 90 MB, and a second of work."""

NUMBER_MAX = 1 << 63

NAME_MAX = 128
"""Characters of the name of a subject or a token."""

WORDS_BYTES_MAX = 2 << 20

ENTRY_VALUE_MAX = 1 << 62
"""The longest time or duration, in ns."""

ORIGINS_MAX = 1 << 12
"""For how many origins the last number is remembered: those that forwarded something most recently."""

REPEATED = -1
"""Instead of an index: the command did not run, because its key had been used before."""

NOT_RUN = -2
"""Instead of an index: the command did not run, because the group was refused."""

STOPPED = {
    ErrorCode.TOO_LATE: KINDS - {CommandKind.CANCEL},
    ErrorCode.DISK_NEARLY_FULL: frozenset({CommandKind.PLACE, CommandKind.REPLACE}),
    ErrorCode.BAD_GROUP: KINDS,
}
"""The kinds of commands that do not run in a refused group. A cancel of one order runs: it does no harm however late it is, and it may be what the owner
asked for in case the connection is lost."""


class Forwarded(msgspec.Struct, frozen=True, array_like=True):
    """The group `number` of the process `origin`; numbers begin at 1 and have no gaps. It holds commands of 88 bytes, those with a key, and entries.

    If the engine found a reason not to run all of its commands, `refused` is that reason, one of STOPPED. A group that cannot run at all is journaled
    without commands, keys and entries, so that its number is used up and its origin hears of it.
    """

    origin: int
    number: int
    commands: bytes
    keyed: list[Keyed]
    entries: list[Entry]
    refused: int = 0


decode_forwarded = msgspec.msgpack.Decoder(Forwarded).decode


def fault(group: Forwarded, accounts: int) -> str:
    """Why an exchange with `accounts` accounts cannot run or replay a group, whose process may have another version; "" if it can. O(group)."""
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
    return next((wrong for entry in group.entries if (wrong := _fault_of_entry(entry, accounts))), "")


def _fault_of_entry(entry: Entry, accounts: int) -> str:
    key, value = entry.key, entry.value
    fields = msgspec.structs.asdict(key)
    numbers = [field for field in fields.values() if isinstance(field, int)]
    if not isinstance(key, OfGateways) or fields.get("account", -1) >= accounts or not fields.get("origin", 1):
        return f"an entry under {str(key)[:80]}: expected what is kept, or what is to happen, for one of {accounts} accounts"
    if not all(0 <= number < NUMBER_MAX for number in numbers) or not all(0 < len(name) <= NAME_MAX for name in fields.values() if isinstance(name, str)):
        return f"an entry under {str(key)[:80]}: expected numbers below 2^63, and names of 1 to {NAME_MAX} characters"
    if value is not None and type(value) is not key.holds:
        return f"{type(value).__name__} under {key}: expected {key.holds.__name__}"
    if isinstance(value, bytes) and len(value) > WORDS_BYTES_MAX:
        return f"{len(value)} bytes under {key}: expected at most {WORDS_BYTES_MAX}"
    if isinstance(value, int) and not 0 <= value <= ENTRY_VALUE_MAX:
        return f"{value} under {key}: expected 0 to {ENTRY_VALUE_MAX} ns"
    return ""


def not_run(origin: int, number: int) -> Forwarded:
    """What is journaled instead of a group that cannot run."""
    return Forwarded(origin, number, b"", [], [], int(ErrorCode.BAD_GROUP))


def last_number(directory: Directory, origin: int) -> int:
    """The number of the last group of an origin that has run; 0 for none."""
    return number_under(directory, LastGroup(origin))


def runnable(results: Results, forwarded: Forwarded) -> tuple[bytes, list[int]]:
    """The commands of a group that are to run, and for each of its commands its index among these, or REPEATED, or NOT_RUN."""
    commands, count = forwarded.commands, len(forwarded.commands) // COMMAND_BYTES
    if forwarded.refused and forwarded.refused not in STOPPED:
        raise ValueError(f"a group was not run for the reason {forwarded.refused}: expected {', '.join(str(int(code)) for code in STOPPED)}")
    stopped = STOPPED[ErrorCode(forwarded.refused)] if forwarded.refused else ()
    left_out = {place: NOT_RUN for place, kind in enumerate(commands[KIND_OFFSET::COMMAND_BYTES]) if kind in stopped} if stopped else {}
    left_out |= {place: REPEATED for place, account, key in forwarded.keyed if (account, key) in results}
    if not left_out:
        return commands, list(range(count))
    others = [place for place in range(count) if place not in left_out]
    found = left_out | {place: index for index, place in enumerate(others)}
    return b"".join(commands[place * COMMAND_BYTES : (place + 1) * COMMAND_BYTES] for place in others), [found[place] for place in range(count)]


def run(exchange: Exchange, directory: Directory, results: Results, forwarded: Forwarded, time: int) -> list[int]:
    """Run a group at `time`, but for the commands whose key has been used; for each command its index in the exchange's call, or REPEATED, or NOT_RUN."""
    commands, indexes = runnable(results, forwarded)
    exchange.execute(commands)
    results.take(exchange, [each._replace(place=indexes[each.place]) for each in forwarded.keyed if indexes[each.place] >= 0], time)
    for entry in forwarded.entries:
        entry.change(directory)
    _note(directory, forwarded)
    return indexes


def _note(directory: Directory, forwarded: Forwarded) -> None:
    key = LastGroup(forwarded.origin)
    if key not in directory:
        origins = [each for each in directory if isinstance(each, LastGroup)]
        for each in origins[: max(0, len(origins) + 1 - ORIGINS_MAX)]:
            del directory[each]
    directory.pop(key, None)    # so that they stand in the order of their last group
    directory[key] = forwarded.number
