"""The history as anybody would keep it: all commands and all events of all time in a list, looked through from its beginning for each answer."""

from typing import NamedTuple

from engine import Event, EventKind
from stream.account_history.database import Wanted
from stream.account_history.facts import COMMAND, POST_ONLY, REASONS, SIDES, TIMES_IN_FORCE, TYPES, FillFact, OrderFact

TAKER = 2


class Happened(NamedTuple):
    """An event, the bytes of the command that caused it, and when that was."""

    event: Event
    command: bytes
    time: int


class Twin:
    """Knows everything, slowly."""

    def __init__(self) -> None:
        self.all: list[Happened] = []

    def take(self, commands: bytes, batches: list[list[Event]], time: int) -> None:
        """What each command of a group has caused."""
        assert len(batches) * COMMAND.size == len(commands)
        for number, batch in enumerate(batches):
            self.all += [Happened(event, commands[number * COMMAND.size : (number + 1) * COMMAND.size], time) for event in batch]

    def order(self, account: int, order: int) -> OrderFact:
        """What has become of an order."""
        mine = [each for each in self.all if each.event.order == order and each.event.account == account and each.event.kind not in (
            EventKind.TRADE, EventKind.REJECTED, EventKind.LEVEL, EventKind.DISPLAYED)]
        (accepted,) = [each for each in mine if each.event.kind == EventKind.ACCEPTED]
        _, linked, _, _, _, stop, display, _, expires, _, _, _, _, type, time_in_force, flags, _ = COMMAND.unpack(accepted.command)
        first, last = accepted.event, mine[-1].event
        replaced = [each.event for each in mine if each.event.kind in (EventKind.ACCEPTED, EventKind.REPLACED)]
        waited = [each.event for each in mine if each.event.kind == EventKind.WAITING]
        cancelled = last.kind == EventKind.CANCELLED
        told = [each.event.kind for each in mine if each.event.kind in (EventKind.WAITING, EventKind.TRIGGERED)]
        status = "cancelled" if cancelled else "filled" if last.kind == EventKind.FILLED and not last.remaining else "open"
        if status == "open" and told and told[-1] == EventKind.WAITING:
            status = "waiting"
        working = {EventKind.ACCEPTED: accepted.time, EventKind.WAITING: 0}
        since = next(working.get(each.event.kind, each.time) for each in mine[::-1] if each.event.kind in {*working, EventKind.TRIGGERED})
        return OrderFact(
            account, order, first.client_id, first.instrument, SIDES[first.side], TYPES[type], TIMES_IN_FORCE[time_in_force], bool(flags & POST_ONLY),
            replaced[-1].price, last.filled + (last.size if cancelled else last.remaining), waited[-1].price if waited else stop, display, expires,
            last.filled, last.value, status, REASONS[last.reason] if cancelled else "", accepted.time, mine[-1].time, last.seq, since,    # type: ignore[arg-type]
            linked=linked,
        )

    def orders(self, wanted: Wanted) -> list[OrderFact]:
        """A page of orders."""
        placed = [each.event for each in self.all if each.event.kind == EventKind.ACCEPTED and each.event.account == wanted.account]
        found = [self.order(wanted.account, event.order) for event in placed if wanted.instrument in (None, event.instrument)]
        if wanted.pairs:
            named = {each.order: each for each in found}
            pairs = sorted((named[each.linked], each) for each in found if each.linked)
            return [each for pair in page([pair for pair in pairs if pair[0].order > wanted.after and inside(pair[0].time, wanted)], wanted) for each in pair]
        return page([each for each in found if each.order > wanted.after and inside(each.time, wanted)], wanted)

    def trades(self, wanted: Wanted) -> list[FillFact]:
        """A page of fills."""
        found = []
        for number, (event, _, time) in enumerate(self.all):
            if event.kind == EventKind.FILLED and event.account == wanted.account:
                trade = next(each.event for each in self.all[number::-1] if each.event.kind == EventKind.TRADE)
                found.append(FillFact(
                    event.account, event.seq, trade.seq, event.order, event.client_id, event.instrument, SIDES[event.side], event.price, event.size,
                    trade.value, event.fee, "taker" if event.flags & TAKER else "maker", time,
                ))
        return page([
            each for each in found
            if each.seq > wanted.after and inside(each.time, wanted) and wanted.instrument in (None, each.instrument) and wanted.order in (0, each.order)
        ], wanted)


def inside(time: int, wanted: Wanted) -> bool:
    return wanted.since <= time and (not wanted.until or time < wanted.until)


def page(found: list, wanted: Wanted) -> list:    # type: ignore[type-arg]
    return found[-wanted.size :] if wanted.latest else found[: wanted.size]
