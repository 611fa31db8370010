"""The slow, obvious twin of `engine.Exchange`: dicts and lists, searched and sorted whenever something is asked.

It takes commands as tuples and gives back the events of each, field for field those that the engine must tell.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from engine import MONEY_MAX, CommandKind, Event, EventKind, Instrument, OrderType, Reason, Side, TimeInForce
from tests.oracle_model import POST_ONLY, Command, Order, Terms, fee

ALL_INSTRUMENTS = 0xFFFF
LAST = 1
TAKER = 2


@dataclass
class Batch:
    """What one command has done so far."""

    events: list[Event]
    sizes_before: dict[tuple[int, int, int], int]
    levels: list[tuple[int, int, int]] = field(default_factory=list)
    balances: list[tuple[int, int]] = field(default_factory=list)


class Refused(Exception):
    def __init__(self, reason: Reason, order: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.order = order


def expect(holds: bool, reason: Reason, order: int | None = None) -> None:
    if not holds:
        raise Refused(reason, order)


class NaiveExchange:
    """Run commands one by one with `run`; look at `available`, `held`, `fees`, `supply`, `open` and `terms` at any time."""

    def __init__(self, orders_max: int = 1 << 20, accounts_max: int = 1 << 20, client_ids_max: int = 1 << 16) -> None:
        self.orders_max = orders_max
        self.accounts_max = accounts_max
        self.client_ids_max = client_ids_max
        self.decimals: dict[str, int] = {}
        self.terms: list[Terms] = []
        self.accounts = 0
        self.available: dict[tuple[int, int], int] = {}         # by account and asset
        self.held: dict[tuple[int, int], int] = {}
        self.fees: list[int] = []
        self.supply: list[int] = []
        self.open: dict[int, Order] = {}                        # by id, in the order of acceptance
        self.client_ids: dict[tuple[int, int], int] = {}        # order ids by account and client id
        self.done_client_ids: list[tuple[int, int]] = []        # the first one to be done at the start
        self.number = 0
        self.places = 0
        self.slots = 0
        self.free_slots: list[int] = []
        self.seq = 0
        self.batch = Batch([], {})
        self.actions: dict[int, Callable[[Command], None]] = {
            CommandKind.PLACE: self.place,
            CommandKind.CANCEL: self.cancel,
            CommandKind.REDUCE: self.reduce,
            CommandKind.REPLACE: self.replace,
            CommandKind.CANCEL_ALL: self.cancel_all,
            CommandKind.OPEN_ACCOUNT: self.open_account,
            CommandKind.DEPOSIT: self.deposit,
            CommandKind.WITHDRAW: self.withdraw,
        }

    def add_asset(self, name: str, decimals: int = 8) -> None:
        self.decimals[name] = decimals
        self.fees.append(0)
        self.supply.append(0)

    def add_instrument(self, instrument: Instrument) -> None:
        assets = list(self.decimals)
        self.terms.append(
            Terms(
                instrument.price_max, instrument.size_min, instrument.size_max, instrument.maker_fee, instrument.taker_fee,
                base=assets.index(instrument.base),
                quote=assets.index(instrument.quote),
                tick_value=int(instrument.tick * instrument.lot * 10 ** self.decimals[instrument.quote]),
                lot_units=int(instrument.lot * 10 ** self.decimals[instrument.base]),
            )
        )

    # One command, one batch

    def run(self, command: Command) -> list[Event]:
        self.batch = Batch([], self.level_sizes())
        try:
            expect(command.kind in self.actions, Reason.UNKNOWN_COMMAND)
            self.actions[command.kind](command)
        except Refused as refused:
            self.tell(
                EventKind.REJECTED, order=command.order if refused.order is None else refused.order, other=command.client_id,
                account=command.account, instrument=command.instrument, side=command.side, price=command.price, size=command.size,
                reason=refused.reason,
            )
        self.tell_levels()
        for account, asset in self.batch.balances:
            available, held = self.balance(account, asset)
            self.tell(EventKind.BALANCE, account=account, instrument=asset, size=available, remaining=held)
        events = self.batch.events
        events[-1] = events[-1]._replace(flags=events[-1].flags | LAST)
        return events

    def tell(
        self, kind: EventKind, order: int = 0, other: int = 0, account: int = 0, instrument: int = 0, side: int = 0, price: int = 0,
        size: int = 0, remaining: int = 0, filled: int = 0, value: int = 0, reason: int = 0, flags: int = 0,
    ) -> None:
        self.seq += 1
        self.batch.events.append(
            Event(self.seq, kind, order, other, account, instrument, side, price, size, remaining, filled, value, reason, flags)
        )

    def tell_order(self, kind: EventKind, order: Order, price: int, size: int, reason: int = 0, flags: int = 0) -> None:
        self.tell(
            kind, order.order, order.client_id, order.account, order.instrument, order.side, price, size, order.remaining,
            order.filled, order.value, reason, flags,
        )

    def tell_levels(self) -> None:
        sizes = self.level_sizes()
        for level in self.batch.levels:
            size = sizes.get(level, 0)
            if size != self.batch.sizes_before.get(level, 0):
                instrument, side, price = level
                count = len(self.queue(instrument, side, price))
                self.tell(EventKind.LEVEL, other=count, instrument=instrument, side=side, price=price, size=size)

    def touch_level(self, order: Order) -> None:
        level = (order.instrument, order.side, order.price)
        if level not in self.batch.levels:
            self.batch.levels.append(level)

    def touch_balance(self, account: int, asset: int) -> None:
        if (account, asset) not in self.batch.balances:
            self.batch.balances.append((account, asset))

    # What is where

    def resting(self, instrument: int, side: int) -> list[Order]:
        """The orders of one side of a book, in the order in which they are matched."""
        orders = [order for order in self.open.values() if order.instrument == instrument and order.side == side and order.place]
        return sorted(orders, key=lambda order: (-order.price if side == Side.BUY else order.price, order.place))

    def queue(self, instrument: int, side: int, price: int) -> list[Order]:
        return [order for order in self.resting(instrument, side) if order.price == price]

    def level_sizes(self) -> dict[tuple[int, int, int], int]:
        sizes: dict[tuple[int, int, int], int] = {}
        for order in self.open.values():
            level = (order.instrument, order.side, order.price)
            sizes[level] = sizes.get(level, 0) + order.remaining
        return sizes

    def depth(self, instrument: int) -> tuple[list[int], list[int]]:
        """Both sides, best first, as flat lists of price and size."""
        sizes = self.level_sizes()
        bids = sorted(((price, size) for (book, side, price), size in sizes.items() if (book, side) == (instrument, 0)), reverse=True)
        asks = sorted((price, size) for (book, side, price), size in sizes.items() if (book, side) == (instrument, 1))
        return [number for level in bids for number in level], [number for level in asks for number in level]

    def makers(self, instrument: int, side: int, price: int) -> list[Order]:
        """The orders that an incoming one would meet; price 0 is no limit."""
        others = self.resting(instrument, 1 - side)
        if price == 0:
            return others
        return [maker for maker in others if (maker.price <= price if side == Side.BUY else maker.price >= price)]

    def balance(self, account: int, asset: int) -> tuple[int, int]:
        return self.available.get((account, asset), 0), self.held.get((account, asset), 0)

    # Money

    def held_asset(self, order: Order) -> int:
        terms = self.terms[order.instrument]
        return terms.quote if order.side == Side.BUY else terms.base

    def hold_of(self, order: Order) -> int:
        terms = self.terms[order.instrument]
        if order.side == Side.SELL:
            return order.remaining * terms.lot_units
        return 0 if order.market else terms.cost(order.price, order.remaining)

    def add(self, account: int, asset: int, units: int) -> None:
        """Change what is available."""
        self.available[account, asset] = self.available.get((account, asset), 0) + units
        self.touch_balance(account, asset)

    def hold(self, order: Order, hold_before: int) -> None:
        """Move what the order's hold grew or shrank by, out of or into what is available."""
        asset = self.held_asset(order)
        grown = self.hold_of(order) - hold_before
        self.held[order.account, asset] = self.held.get((order.account, asset), 0) + grown
        self.add(order.account, asset, -grown)

    def settle(self, taker: Order, maker: Order, size: int) -> None:
        """Take `size` off both orders and exchange money and asset between their accounts."""
        terms = self.terms[taker.instrument]
        notional = terms.notional(maker.price, size)
        rates = {taker.order: terms.taker_fee, maker.order: terms.maker_fee}
        holds = {order.order: self.hold_of(order) for order in (taker, maker)}
        for order in (taker, maker):
            order.remaining -= size
            order.filled += size
            order.value += notional
        buyer, seller = (taker, maker) if taker.side == Side.BUY else (maker, taker)
        if not buyer.market:
            self.hold(buyer, holds[buyer.order])
        self.add(buyer.account, terms.quote, -notional - fee(rates[buyer.order], notional))
        self.add(buyer.account, terms.base, size * terms.lot_units)
        self.hold(seller, holds[seller.order])
        self.add(seller.account, terms.base, -size * terms.lot_units)
        self.add(seller.account, terms.quote, notional - fee(rates[seller.order], notional))
        self.fees[terms.quote] += sum(fee(rate, notional) for rate in rates.values())

    # Orders

    def match(self, taker: Order) -> None:
        done = []
        for maker in self.makers(taker.instrument, taker.side, taker.price):
            size = min(taker.remaining, maker.remaining)
            if size == 0:
                break
            self.touch_level(maker)
            self.settle(taker, maker, size)
            notional = self.terms[taker.instrument].notional(maker.price, size)
            self.tell(
                EventKind.TRADE, order=taker.order, other=maker.order, instrument=taker.instrument, side=taker.side,
                price=maker.price, size=size, value=notional,
            )
            self.tell_order(EventKind.FILLED, maker, maker.price, size)
            self.tell_order(EventKind.FILLED, taker, maker.price, size, flags=TAKER)
            if maker.remaining == 0:
                done.append(maker)
        for order in done:
            self.finish(order)

    def rest(self, order: Order) -> None:
        self.places += 1
        order.place = self.places
        self.touch_level(order)

    def finish(self, order: Order) -> None:
        """The order is done: its slot is free, and its client id is one of the last ones."""
        del self.open[order.order]
        self.free_slots.append(order.order & 0xFFFFFF)
        if order.client_id:
            self.done_client_ids.append((order.account, order.client_id))
            if len(self.done_client_ids) > self.client_ids_max:
                del self.client_ids[self.done_client_ids.pop(0)]

    def cancel_order(self, order: Order, reason: Reason) -> None:
        if order.place:
            self.touch_level(order)
        before, size = self.hold_of(order), order.remaining
        order.remaining = 0
        if before:
            self.hold(order, before)
        self.tell_order(EventKind.CANCELLED, order, order.price, size, reason)
        self.finish(order)

    def check_account(self, command: Command) -> None:
        expect(command.account < self.accounts, Reason.UNKNOWN_ACCOUNT)

    def check_size(self, terms: Terms, size: int) -> None:
        expect(size >= terms.size_min, Reason.SIZE_TOO_SMALL)
        expect(size <= terms.size_max, Reason.SIZE_TOO_LARGE)

    def check_notional(self, terms: Terms, price: int, size: int) -> None:
        expect(terms.cost(price, size) <= MONEY_MAX and size * terms.lot_units <= MONEY_MAX, Reason.NOTIONAL_TOO_LARGE)

    def place(self, command: Command) -> None:
        self.check_account(command)
        expect(command.instrument < len(self.terms), Reason.UNKNOWN_INSTRUMENT)
        terms = self.terms[command.instrument]
        market = command.type == OrderType.MARKET
        expect(
            command.side in list(Side) and command.type in list(OrderType) and command.time_in_force in list(TimeInForce)
            and command.flags in (0, POST_ONLY), Reason.UNKNOWN_OPTION,
        )
        expect(command.flags == 0 or (not market and command.time_in_force == TimeInForce.GTC), Reason.UNKNOWN_OPTION)
        known = self.client_ids.get((command.account, command.client_id))
        expect(known is None, Reason.DUPLICATE_CLIENT_ID, known)
        expect((0 if market else 1) <= command.price <= terms.price_max, Reason.PRICE_OUT_OF_RANGE)
        self.check_size(terms, command.size)
        self.check_notional(terms, 0 if market else command.price, command.size)
        expect(len(self.open) < self.orders_max, Reason.TOO_MANY_ORDERS)
        makers = self.makers(command.instrument, command.side, command.price)
        expect(not (command.flags & POST_ONLY and makers), Reason.POST_ONLY_WOULD_TAKE)
        expect(command.time_in_force != TimeInForce.FOK or sum(maker.remaining for maker in makers) >= command.size, Reason.UNFILLABLE)
        if command.side == Side.SELL:
            asset, needed = terms.base, command.size * terms.lot_units
        elif market:
            asset, needed = terms.quote, self.price_of_taking(terms, makers, command.size)
        else:
            asset, needed = terms.quote, terms.cost(command.price, command.size)
        expect(needed <= self.balance(command.account, asset)[0], Reason.INSUFFICIENT_FUNDS)

        order = self.accept(command)
        self.match(order)
        if order.remaining == 0:
            self.finish(order)
        elif market or command.time_in_force != TimeInForce.GTC:
            self.cancel_order(order, Reason.UNFILLED)
        else:
            self.rest(order)

    def price_of_taking(self, terms: Terms, makers: list[Order], size: int) -> int:
        total = 0
        for maker in makers:
            notional = terms.notional(maker.price, min(size, maker.remaining))
            total += notional + fee(terms.taker_fee, notional) if size else 0
            size -= min(size, maker.remaining)
        return total

    def accept(self, command: Command) -> Order:
        if self.free_slots:
            slot = self.free_slots.pop()
        else:
            self.slots += 1
            slot = self.slots
        self.number += 1
        order = Order(
            self.number << 24 | slot, command.client_id, command.account, command.instrument, command.side, command.price,
            command.size, post_only=command.flags == POST_ONLY, market=command.type == OrderType.MARKET,
        )
        self.open[order.order] = order
        if order.client_id:
            self.client_ids[order.account, order.client_id] = order.order
        self.tell_order(EventKind.ACCEPTED, order, order.price, order.remaining)
        if self.hold_of(order):
            self.hold(order, 0)
        return order

    def named(self, command: Command) -> Order:
        """The account's open order that the command means."""
        self.check_account(command)
        name = command.order or self.client_ids.get((command.account, command.client_id), 0)
        order = self.open.get(name)
        if order is None or order.account != command.account:
            raise Refused(Reason.UNKNOWN_ORDER)
        return order

    def cancel(self, command: Command) -> None:
        self.cancel_order(self.named(command), Reason.REQUESTED)

    def reduce(self, command: Command) -> None:
        order = self.named(command)
        expect(command.size > 0, Reason.SIZE_TOO_SMALL, order.order)
        if command.size >= order.remaining:
            self.cancel_order(order, Reason.REQUESTED)
            return
        before = self.hold_of(order)
        order.remaining -= command.size
        self.hold(order, before)
        self.touch_level(order)
        self.tell_order(EventKind.REDUCED, order, order.price, command.size)

    def replace(self, command: Command) -> None:
        order = self.named(command)
        terms = self.terms[order.instrument]
        try:
            expect(1 <= command.price <= terms.price_max, Reason.PRICE_OUT_OF_RANGE)
            self.check_size(terms, command.size)
            self.check_notional(terms, command.price, command.size)
            expect(order.filled + command.size <= MONEY_MAX, Reason.NOTIONAL_TOO_LARGE)
            expect(order.value + terms.cost(command.price, command.size) <= MONEY_MAX, Reason.NOTIONAL_TOO_LARGE)
            expect(not (order.post_only and self.makers(order.instrument, order.side, command.price)), Reason.POST_ONLY_WOULD_TAKE)
            needed = terms.cost(command.price, command.size) if order.side == Side.BUY else command.size * terms.lot_units
            spendable = self.balance(order.account, self.held_asset(order))[0] + self.hold_of(order)
            expect(needed <= spendable, Reason.INSUFFICIENT_FUNDS)
        except Refused as refused:
            raise Refused(refused.reason, order.order) from None

        keeps_its_place = command.price == order.price and command.size <= order.remaining
        self.touch_level(order)
        before = self.hold_of(order)
        order.price, order.remaining = command.price, command.size
        self.hold(order, before)
        self.tell_order(EventKind.REPLACED, order, order.price, order.remaining)
        if keeps_its_place:
            return
        order.place = 0
        self.match(order)
        if order.remaining == 0:
            self.finish(order)
        else:
            self.rest(order)

    def cancel_all(self, command: Command) -> None:
        self.check_account(command)
        everywhere = command.instrument == ALL_INSTRUMENTS
        expect(everywhere or command.instrument < len(self.terms), Reason.UNKNOWN_INSTRUMENT)
        orders = [order for order in self.open.values() if order.account == command.account and (everywhere or order.instrument == command.instrument)]
        for order in orders:
            self.cancel_order(order, Reason.REQUESTED)
        self.tell(EventKind.ALL_CANCELLED, account=command.account, instrument=command.instrument, size=len(orders))

    # Accounts

    def open_account(self, command: Command) -> None:
        expect(self.accounts < self.accounts_max, Reason.TOO_MANY_ACCOUNTS)
        self.tell(EventKind.ACCOUNT_OPENED, account=self.accounts)
        self.accounts += 1

    def deposit(self, command: Command) -> None:
        self.check_money(command)
        expect(self.supply[command.instrument] + command.size <= MONEY_MAX, Reason.AMOUNT_OUT_OF_RANGE)
        self.supply[command.instrument] += command.size
        self.add(command.account, command.instrument, command.size)

    def withdraw(self, command: Command) -> None:
        self.check_money(command)
        expect(command.size <= self.balance(command.account, command.instrument)[0], Reason.INSUFFICIENT_FUNDS)
        self.supply[command.instrument] -= command.size
        self.add(command.account, command.instrument, -command.size)

    def check_money(self, command: Command) -> None:
        self.check_account(command)
        expect(command.instrument < len(self.supply), Reason.UNKNOWN_ASSET)
        expect(command.size > 0, Reason.AMOUNT_OUT_OF_RANGE)
