"""The slow, obvious twin of `engine.Exchange`: dicts and lists, searched and sorted whenever something is asked.

It takes commands as tuples and gives back the events of each, field for field those that the engine must tell.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine import FEE_SCALE, MONEY_MAX, CommandKind, Event, EventKind, OrderType, Phase, Reason, SelfTrade, Side, TimeInForce
from tests.engine.oracle_checks import STAYING, STOPS, Checks
from tests.engine.oracle_ledger import Batch, Refused, expect
from tests.engine.oracle_model import ALL_ACCOUNTS, ALL_INSTRUMENTS, BOTH_SIDES, CLOCK_MAX, LAST, POST_ONLY, PRICED, QUOTE, Account, Command, Order


class NaiveExchange(Checks):
    """Run commands one by one with `run`; look at `available`, `held`, `fees`, `supply`, `open` and `terms` at any time."""

    def __init__(self, orders_max: int = 1 << 20, accounts_max: int = 1 << 20, client_ids_max: int = 1 << 16) -> None:
        super().__init__(orders_max, accounts_max, client_ids_max)
        self.number = 0
        self.slots = 0
        self.actions: dict[int, Callable[[Command], None]] = {
            CommandKind.PLACE: self.place,
            CommandKind.CANCEL: self.cancel,
            CommandKind.REDUCE: self.reduce,
            CommandKind.REPLACE: self.replace,
            CommandKind.CANCEL_ALL: self.cancel_all,
            CommandKind.OPEN_ACCOUNT: self.open_account,
            CommandKind.DEPOSIT: self.deposit,
            CommandKind.WITHDRAW: self.withdraw,
            CommandKind.ADVANCE: self.advance,
            CommandKind.SET_ACCOUNT: self.set_account,
            CommandKind.SET_FEES: self.set_fees,
            CommandKind.SET_REFERENCE: self.set_reference,
            CommandKind.SET_PHASE: self.set_phase,
            CommandKind.MASS_CANCEL: self.mass_cancel,
            CommandKind.FREEZE: self.freeze,
            CommandKind.SET_LIMITS: self.set_limits,
            CommandKind.SET_TIER: self.set_tier,
            CommandKind.PAY_FEES: self.pay_fees,
            CommandKind.DELIST: self.delist,
            CommandKind.SET_BAND: self.set_band,
        }

    # One command, one batch

    def run(self, command: Command) -> list[Event]:
        self.batch = Batch([], self.level_sizes())
        self.met = 0
        self.clock = max(self.clock, min(command.time, CLOCK_MAX))
        self.expire()
        try:
            expect(command.kind in self.actions, Reason.UNKNOWN_COMMAND)
            self.actions[command.kind](command)
        except Refused as refused:
            self.tell(
                EventKind.REJECTED, order=command.order if refused.order is None else refused.order, client_id=command.client_id,
                account=command.account, instrument=command.instrument, side=command.side, price=command.price, size=command.size,
                reason=refused.reason,
            )
        self.run_triggered()
        self.tell_levels()
        for account, asset in self.batch.balances:
            available, held = self.balance(account, asset)
            self.tell(EventKind.BALANCE, account=account, asset=asset, available=available, held=held)
        events = self.batch.events
        events[-1] = events[-1]._replace(flags=events[-1].flags | LAST)
        return events

    def expire(self) -> None:
        while due := [order for order in self.open.values() if 0 < order.expires <= self.clock]:
            self.cancel_order(min(due, key=lambda order: (order.expires, order.number)), Reason.EXPIRED)

    # Orders

    def place(self, command: Command) -> None:
        self.check_account(command)
        self.check_instrument(command)
        terms = self.terms[command.instrument]
        self.check_options(command)
        known = self.client_ids.get((command.account, command.client_id))
        expect(known is None, Reason.DUPLICATE_CLIENT_ID, known)
        expect(not self.account[command.account].frozen, Reason.ACCOUNT_FROZEN)
        self.check_phase(command, terms)
        expect(command.time_in_force != TimeInForce.GTD or command.expires > self.clock, Reason.ALREADY_EXPIRED)
        priced = command.type in PRICED
        self.check_price(terms, command.price, 1 if priced else 0)
        if command.type in STOPS:
            self.check_price(terms, command.stop, 1)
        stop = self.trigger_of(command, terms)
        price = self.slid_price(command, terms)
        size = command.size
        if command.flags & QUOTE:
            expect(size > 0, Reason.SIZE_TOO_SMALL)
            expect(size <= MONEY_MAX, Reason.NOTIONAL_TOO_LARGE)
        else:
            self.check_size(terms, command.account, size)
            expect(command.display == 0 or command.display >= max(1, terms.instrument.size_min), Reason.SIZE_TOO_SMALL)
            expect(command.min_size >= 0, Reason.SIZE_TOO_SMALL)
            expect(command.min_size <= size, Reason.SIZE_TOO_LARGE)
            self.check_parts(terms, size, command.display)
            self.check_notional(terms, command.account, price if priced else 0, size)
        self.check_count(command, terms)
        self.check_stops(command, terms)
        partner = self.partner_of(command)
        mode = command.self_trade or self.account[command.account].self_trade
        limit = price
        if command.type == OrderType.LIMIT:
            expect(terms.in_band(command.side, price), Reason.PRICE_OUT_OF_BAND)
        else:
            limit = terms.market_limit(command.side, price)
        reached = self.reach(command.instrument, command.side, limit, command.account, mode)
        if command.flags & QUOTE:
            size = self.lots_for(command.instrument, command.side, reached, size, command.account)
            expect(size > 0, Reason.UNFILLABLE)
            self.check_size(terms, command.account, size)
            self.check_notional(terms, command.account, 0, size)
        wanted = size if command.time_in_force == TimeInForce.FOK else command.min_size
        expect(command.type in STOPS or sum(lots for _, lots in reached) >= wanted, Reason.UNFILLABLE)
        self.check_worth(command, terms, limit, size, mode)
        if command.type not in STOPS and not terms.collecting:
            expect(not self.meets_too_many(command.instrument, command.side, limit, size, command.account, mode), Reason.TOO_MANY_FILLS)
        if command.side == Side.SELL:
            asset, needed = terms.base, size * terms.lot_units
        elif priced:
            asset, needed = terms.quote, terms.cost(price, size)
        elif command.type == OrderType.MARKET:
            asset, needed = terms.quote, self.price_of_buying(command.instrument, limit, size, command.account, mode)
        else:
            asset, needed = terms.quote, 0
        if partner and needed:
            needed = max(needed, self.hold_of(partner)) - self.hold_of(partner)
        expect(needed <= self.balance(command.account, asset)[0], Reason.INSUFFICIENT_FUNDS)

        order = self.accept(command, price, size, mode, self.expiry_of(command, terms), partner)
        if command.type in STOPS:
            order.stop = stop
            order.trail = command.stop if command.type == OrderType.TRAILING_STOP else 0
            self.enter_stop(order)
        elif terms.collecting:
            self.rest(order)
        else:
            self.enter(order, limit, stays=command.type == OrderType.LIMIT and command.time_in_force in STAYING)

    def accept(self, command: Command, price: int, size: int, self_trade: int, expires: int, partner: Order | None) -> Order:
        if self.free_slots:
            slot = self.free_slots.pop()
        else:
            self.slots += 1
            slot = self.slots
        self.number += 1
        order = Order(
            self.number << 24 | slot, command.client_id, command.account, command.instrument, command.side, price, size,
            bool(command.flags & POST_ONLY), OrderType(command.type), self_trade, command.display, expires,
        )
        self.open[order.order] = order
        if order.client_id:
            self.client_ids[order.account, order.client_id] = order.order
        self.tell_order(EventKind.ACCEPTED, order, price, size)
        if partner:
            order.partner, partner.partner = partner, order
        self.hold(order, 0)
        return order

    def cancel(self, command: Command) -> None:
        self.cancel_order(self.named(command), Reason.REQUESTED)

    def shrink(self, order: Order, size: int) -> None:
        """Leave an order where it is, with less: the hidden part goes first."""
        before = self.hold_of(order)
        order.remaining = size
        order.shown = min(order.shown, size)
        if order.place:
            self.touch_level(order)
        self.hold(order, before)

    def reduce(self, command: Command) -> None:
        order = self.named(command)
        expect(command.size > 0, Reason.SIZE_TOO_SMALL, order.order)
        if command.size >= order.remaining:
            self.cancel_order(order, Reason.REQUESTED)
            return
        self.shrink(order, order.remaining - command.size)
        self.tell_order(EventKind.REDUCED, order, order.price, command.size)

    def replace(self, command: Command) -> None:
        order = self.named(command)
        terms = self.terms[order.instrument]
        try:
            self.check_replace(command, order)
        except Refused as refused:
            raise Refused(refused.reason, order.order) from None
        if not order.waits and command.price == order.price and command.size <= order.remaining:
            self.shrink(order, command.size)
            self.tell_order(EventKind.REPLACED, order, order.price, order.remaining)
            return
        if order.place:
            self.touch_level(order)
        before = self.hold_of(order)
        order.price, order.remaining, order.place = command.price, command.size, 0
        self.hold(order, before)
        self.tell_order(EventKind.REPLACED, order, order.price, order.remaining)
        if order.waits:
            if command.stop:
                order.stop, order.waits = command.stop, False
                self.enter_stop(order)
        elif terms.collecting:
            self.rest(order)
        else:
            self.enter(order, order.price, stays=True)

    def cancel_all(self, command: Command) -> None:
        self.check_account(command)
        everywhere = command.instrument == ALL_INSTRUMENTS
        expect(everywhere or command.instrument < len(self.terms), Reason.UNKNOWN_INSTRUMENT)
        expect(command.side <= BOTH_SIDES, Reason.UNKNOWN_OPTION)
        before = len(self.open)
        for order in list(self.open.values()):
            meant = order.account == command.account and (everywhere or order.instrument == command.instrument)
            if meant and command.side in (BOTH_SIDES, order.side) and order.order in self.open:
                self.cancel_order(order, Reason.REQUESTED)
        self.tell(
            EventKind.ALL_CANCELLED, account=command.account, instrument=command.instrument, side=command.side, orders=before - len(self.open)
        )

    def mass_cancel(self, command: Command) -> None:
        of_account, of_instrument = command.account != ALL_ACCOUNTS, command.instrument != ALL_INSTRUMENTS
        if of_account:
            self.check_account(command)
        if of_instrument:
            self.check_instrument(command)
        expect(not (of_account and of_instrument), Reason.UNKNOWN_OPTION)
        expect(command.client_id > 0, Reason.AMOUNT_OUT_OF_RANGE)
        meant = [order for order in self.open.values() if order.account == command.account] if of_account else [
            order for instrument in range(len(self.terms)) if command.instrument in (instrument, ALL_INSTRUMENTS)
            for order in (*self.resting(instrument, 0), *self.resting(instrument, 1), *self.waiting(instrument, 0), *self.waiting(instrument, 1))
        ]
        before, steps = len(self.open), 0
        for order in meant:
            if order.order in self.open and steps < command.client_id:
                self.cancel_order(order, Reason.REQUESTED)
                steps += 1
        self.tell(
            EventKind.ALL_CANCELLED, account=command.account, instrument=command.instrument, side=BOTH_SIDES, orders=before - len(self.open)
        )

    def waiting(self, instrument: int, rises: int) -> list[Order]:
        """The stops that wait for a fall of the price (0), or for a rise, the nearest first."""
        stops = [order for order in self.open.values() if order.instrument == instrument and order.waits and order.waits_for_rise == bool(rises)]
        return sorted(stops, key=lambda order: (order.stop if rises else -order.stop, order.number))

    # Accounts

    def open_account(self, command: Command) -> None:
        expect(self.accounts < self.accounts_max, Reason.TOO_MANY_ACCOUNTS)
        self.tell(EventKind.ACCOUNT_OPENED, account=self.accounts)
        self.account.append(Account())

    def deposit(self, command: Command) -> None:
        self.check_money(command)
        expect(self.supply[command.instrument] + command.size <= MONEY_MAX, Reason.AMOUNT_OUT_OF_RANGE)
        self.supply[command.instrument] += command.size
        self.add(command.account, command.instrument, command.size)

    def withdraw(self, command: Command) -> None:
        self.check_money(command)
        expect(not self.account[command.account].frozen, Reason.ACCOUNT_FROZEN)
        expect(command.size <= self.balance(command.account, command.instrument)[0], Reason.INSUFFICIENT_FUNDS)
        self.supply[command.instrument] -= command.size
        self.add(command.account, command.instrument, -command.size)

    def check_money(self, command: Command) -> None:
        self.check_account(command)
        expect(command.instrument < len(self.supply), Reason.UNKNOWN_ASSET)
        expect(command.size > 0, Reason.AMOUNT_OUT_OF_RANGE)

    def pay_fees(self, command: Command) -> None:
        self.check_money(command)
        expect(command.size <= self.fees[command.instrument], Reason.INSUFFICIENT_FUNDS)
        self.fees[command.instrument] -= command.size
        self.add(command.account, command.instrument, command.size)

    def set_account(self, command: Command) -> None:
        self.check_account(command)
        expect(command.type < 8 and command.self_trade in list(SelfTrade)[1:], Reason.UNKNOWN_OPTION)
        expect(max(command.order, command.client_id) < 1 << 32 and min(command.size, command.price) >= 0, Reason.AMOUNT_OUT_OF_RANGE)
        self.change_account(
            command, group=command.order, tier=command.type, self_trade=command.self_trade, orders_max=command.client_id, size_max=command.size,
            notional_max=command.price,
        )

    def set_limits(self, command: Command) -> None:
        self.check_account(command)
        expect(command.client_id < 1 << 32 and min(command.size, command.price) >= 0, Reason.AMOUNT_OUT_OF_RANGE)
        self.change_account(command, orders_max=command.client_id, size_max=command.size, notional_max=command.price)

    def set_tier(self, command: Command) -> None:
        self.check_account(command)
        expect(command.type < 8, Reason.UNKNOWN_OPTION)
        self.change_account(command, tier=command.type)

    def freeze(self, command: Command) -> None:
        self.check_account(command)
        expect(command.type < 2, Reason.UNKNOWN_OPTION)
        self.change_account(command, frozen=bool(command.type))

    def change_account(self, command: Command, **changes: Any) -> None:
        self.account[command.account] = replace(self.account[command.account], **changes)
        self.tell(EventKind.ACCOUNT_SET, account=command.account)

    # Instruments and time

    def advance(self, command: Command) -> None:
        self.tell(EventKind.ADVANCED, clock=self.clock)

    def set_fees(self, command: Command) -> None:
        self.check_instrument(command)
        terms = self.terms[command.instrument]
        expect(command.type < 8, Reason.UNKNOWN_OPTION)
        expect(abs(command.price) <= terms.hold_fee and 0 <= command.size <= terms.hold_fee, Reason.AMOUNT_OUT_OF_RANGE)
        rates = [terms.fees(tier) for tier in range(8) if tier != command.type] + [(command.price, command.size)]
        expect(-min(maker for maker, _ in rates) <= min(taker for _, taker in rates), Reason.AMOUNT_OUT_OF_RANGE)
        terms.rates[command.type] = command.price, command.size
        self.tell(EventKind.FEES_SET, instrument=command.instrument, tier=command.type, maker_rate=command.price, taker_rate=command.size)

    def set_reference(self, command: Command) -> None:
        self.check_instrument(command)
        self.check_price(self.terms[command.instrument], command.price, 0)
        self.terms[command.instrument].reference = command.price
        self.tell(EventKind.REFERENCE_SET, instrument=command.instrument, price=command.price)

    def set_phase(self, command: Command) -> None:
        self.check_instrument(command)
        expect(command.type in (Phase.TRADING, Phase.HALT, Phase.AUCTION), Reason.UNKNOWN_OPTION)
        expect(self.terms[command.instrument].phase != Phase.DELISTED, Reason.NOT_LISTED)
        self.enter_phase(command.instrument, Phase(command.type))

    def delist(self, command: Command) -> None:
        self.check_instrument(command)
        expect(command.type < 2, Reason.UNKNOWN_OPTION)
        if command.type:
            self.enter_phase(command.instrument, Phase.DELISTED)
            return
        expect(self.terms[command.instrument].phase == Phase.DELISTED, Reason.WRONG_PHASE)
        expect(all(order.instrument != command.instrument for order in self.open.values()), Reason.NOT_LISTED)
        self.enter_phase(command.instrument, Phase.HALT)

    def set_band(self, command: Command) -> None:
        self.check_instrument(command)
        expect(0 <= command.price < FEE_SCALE, Reason.AMOUNT_OUT_OF_RANGE)
        self.terms[command.instrument].band = command.price
        self.tell(EventKind.BAND_SET, instrument=command.instrument, band=command.price)
