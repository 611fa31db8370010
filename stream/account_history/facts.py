"""What a group of commands did to orders, out of its commands and events as the engine has them in memory: rows for the database, and no database."""

from collections.abc import Collection, Iterable, Iterator
from struct import Struct
from typing import NamedTuple

from engine import CommandKind, EventKind, Order, OrderType, Reason, Side, TimeInForce
from stream.commands.directory import Directory, Entry, OrderTicket
from stream.commands.results import Status

COMMAND = Struct("<qQQqqqqqqIHBBBBBB4x")
EVENT = Struct("<QQQqqqqqIHBBBB6x")

POST_ONLY, QUOTE, LAST, TAKER = 1, 4, 1, 2
"""Flags of a command, and flags of an event."""

PLACE, REPLACE = int(CommandKind.PLACE), int(CommandKind.REPLACE)
ACCEPTED, FILLED, CANCELLED, REDUCED, REPLACED, TRADE, TRIGGERED, WAITING = (
    int(kind) for kind in (
        EventKind.ACCEPTED, EventKind.FILLED, EventKind.CANCELLED, EventKind.REDUCED, EventKind.REPLACED, EventKind.TRADE, EventKind.TRIGGERED,
        EventKind.WAITING,
    )
)
OF_ORDERS = frozenset({ACCEPTED, FILLED, CANCELLED, REDUCED, REPLACED, TRIGGERED, WAITING})

SIDES = {int(side): side.name.lower() for side in Side}
TYPES = {int(type): type.name.lower() for type in OrderType}
TIMES_IN_FORCE = {int(time): time.name.lower() for time in TimeInForce}
REASONS = {int(reason): reason.name.lower() if reason else "" for reason in Reason}


class OrderFact(NamedTuple):
    """An order as it is now. Prices in ticks, sizes in lots, `value` in units of the quote asset, times in ns since 1970. `instrument` is an index.

    `size` is what was ordered, less what was taken off since. `price` and `stop` are the latest. `seq` is that of the last event. `working_since` is 0 while it
    waits. `ticket` is what a dialect's client said about it. `linked` is the order that it named as its pair's other one when it was placed, 0 for none.
    """

    account: int
    order: int
    client_id: int
    instrument: int
    side: str
    type: str
    time_in_force: str
    post_only: bool
    price: int
    size: int
    stop: int
    display: int
    expires: int
    filled: int
    value: int
    status: Status
    reason: str
    time: int
    updated: int
    seq: int
    working_since: int
    ticket: bytes = b""
    linked: int = 0


class FillFact(NamedTuple):
    """One fill of an order, `seq` that of its event and `trade` that of the trade. `fee` is in units of the quote asset."""

    account: int
    seq: int
    trade: int
    order: int
    client_id: int
    instrument: int
    side: str
    price: int
    size: int
    value: int
    fee: int
    liquidity: str
    time: int


class Change(NamedTuple):
    """What is new of an order that a group before has placed; None: as it was."""

    filled: int
    value: int
    size: int
    status: Status | None
    reason: str
    price: int | None
    stop: int | None
    updated: int
    seq: int
    working_since: int | None = None


class Facts:
    """What groups have done, in their order, until it is written: orders that they placed, what became of earlier ones, and fills."""

    def __init__(self, left_out: Collection[int] = ()) -> None:
        """`left_out` are accounts of which nothing is kept: those of sources, which nobody can ask about."""
        self._left_out = frozenset(left_out)
        self.placed: dict[tuple[int, int], OrderFact] = {}
        self.changes: dict[tuple[int, int], Change] = {}
        self.fills: list[FillFact] = []
        self.ended = 0    # how many orders have
        self._latest: dict[tuple[int, int], tuple[int, int]] = {}    # the orders that the last group placed, by account and client id

    def take(self, commands: bytes, events: bytes, time: int) -> None:
        """Take in what a group has done. ValueError if the events are not those of the commands. About 3 us for each event of an order."""
        self._latest = {}
        asked = iter(COMMAND.iter_unpack(commands))
        command = next(asked, None)
        trade = (0, 0, 0, 0)    # the sequence of the trade that comes before its two fills, its notional, and the fees of taker and maker
        for event in EVENT.iter_unpack(events):
            kind = event[10]
            if kind == TRADE:
                trade = event[0], event[7], event[6], event[5]
            elif kind in OF_ORDERS and event[8] not in self._left_out:
                self._take(command, event, trade, time)
            if event[13] & LAST:
                command = next(asked, None)
        if command is not None:
            raise ValueError("fewer events than commands")

    def _take(self, command: tuple[int, ...] | None, event: tuple[int, ...], trade: tuple[int, int, int, int], time: int) -> None:
        seq, order, client_id, price, size, remaining, filled, value, account, instrument, kind, side, reason, flags = event
        key = account, order
        if kind == ACCEPTED:
            if command is None or command[11] != PLACE:
                raise ValueError(f"order {order} was accepted, but not by a command that places one")
            self.placed[key] = OrderFact(
                account, order, client_id, instrument, SIDES[side], TYPES[command[13]], TIMES_IN_FORCE[command[14]], bool(command[15] & POST_ONLY),
                price, size, command[5], command[6], command[8], 0, 0, "open", "", time, time, seq, time, linked=command[1],
            )
            if client_id:
                self._latest[account, client_id] = key
            return
        status: Status | None = None
        new_price = stop = working = None
        match kind:
            case EventKind.FILLED:
                status = None if remaining else "filled"
                taker = bool(flags & TAKER)
                self.fills.append(FillFact(
                    account, seq, trade[0], order, client_id, instrument, SIDES[side], price, size, trade[1], trade[2] if taker else trade[3],
                    "taker" if taker else "maker", time,
                ))
            case EventKind.CANCELLED:
                status, remaining = "cancelled", size    # what was ordered is what was filled and what is cancelled
            case EventKind.REPLACED:
                new_price = price
            case EventKind.TRIGGERED:
                status, working = "open", time
            case EventKind.WAITING:
                status, stop, working = "waiting", price, 0
        self.ended += status in ("filled", "cancelled")
        self._change(key, Change(filled, value, filled + remaining, status, REASONS[reason] if kind == CANCELLED else "", new_price, stop, time, seq, working))

    def attach(self, entries: Iterable[Entry]) -> None:
        """Take in what was remembered in the group that was taken last: what clients said about the orders that it placed."""
        for entry in entries:
            key = isinstance(entry.key, OrderTicket) and self._latest.get((entry.key.account, entry.key.client_id))
            if key and isinstance(entry.value, bytes):
                self.placed[key] = self.placed[key]._replace(ticket=entry.value)

    def _change(self, key: tuple[int, int], change: Change) -> None:
        placed = self.placed.get(key)
        if placed:
            self.placed[key] = placed._replace(
                filled=change.filled, value=change.value, size=change.size, status=change.status or placed.status, reason=change.reason,
                price=placed.price if change.price is None else change.price, stop=placed.stop if change.stop is None else change.stop,
                updated=change.updated, seq=change.seq, working_since=placed.working_since if change.working_since is None else change.working_since,
            )
            return
        before = self.changes.get(key)
        if before:
            change = change._replace(
                status=change.status or before.status, price=before.price if change.price is None else change.price,
                stop=before.stop if change.stop is None else change.stop,
                working_since=before.working_since if change.working_since is None else change.working_since,
            )
        self.changes[key] = change

    def clear(self) -> None:
        """All of it has been written."""
        self.placed.clear()
        self.changes.clear()
        self.fills.clear()
        self.ended = 0
        self._latest.clear()


def open_orders(orders: Iterable[Order], directory: Directory, time: int, seq: int) -> Iterator[OrderFact]:
    """Orders that were placed before the history begins, as far as they are known: not when, nor for how long, nor what they were before they rested."""
    for order in orders:
        waits, ticket = order.type != OrderType.LIMIT, directory.get(OrderTicket(order.account, order.client_id))
        yield OrderFact(
            order.account, order.order, order.client_id, order.instrument, SIDES[order.side], TYPES[order.type], "gtd" if order.expires else "gtc",
            bool(order.post_only), order.price, order.filled + order.remaining, order.stop, 0, order.expires, order.filled, order.value,
            "waiting" if waits else "open", "", time, time, seq, 0 if waits else time, ticket if isinstance(ticket, bytes) else b"",
            order.linked if order.linked < order.order else 0,
        )
