"""Why the twin refuses an order. See `oracle_exchange`."""

from engine import MONEY_MAX, OrderType, Phase, Reason, SelfTrade, Side, TimeInForce
from tests.engine.oracle_auction import Auctions
from tests.engine.oracle_ledger import Refused, expect
from tests.engine.oracle_model import DAY_NS, POST_ONLY, PRICED, QUOTE, SLIDE, Command, Order, Terms

STAYING = (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY)
STOPS = tuple(type for type in OrderType if type not in (OrderType.LIMIT, OrderType.MARKET))


class Checks(Auctions):
    """Each check in the order of the reference."""

    def check_account(self, command: Command) -> None:
        expect(command.account < self.accounts, Reason.UNKNOWN_ACCOUNT)

    def check_instrument(self, command: Command) -> None:
        expect(command.instrument < len(self.terms), Reason.UNKNOWN_INSTRUMENT)

    def check_options(self, command: Command) -> None:
        def allow(holds: bool) -> None:
            expect(holds, Reason.UNKNOWN_OPTION)

        allow(command.side in list(Side) and command.type in list(OrderType) and command.time_in_force in list(TimeInForce))
        allow(command.flags < 8 and command.self_trade in list(SelfTrade))
        is_stop = command.type in STOPS
        stays = command.type != OrderType.MARKET and command.time_in_force in STAYING
        if command.flags & POST_ONLY or command.display or command.order or command.time_in_force in (TimeInForce.GTD, TimeInForce.DAY) or is_stop:
            allow(stays)
        if command.flags & SLIDE:
            allow(bool(command.flags & POST_ONLY))
        if command.flags & QUOTE:
            allow(command.type == OrderType.MARKET and command.time_in_force != TimeInForce.FOK)
        if command.flags & POST_ONLY or command.display or command.min_size:
            allow(not is_stop)
        if command.min_size:
            allow(not command.flags & (POST_ONLY | QUOTE))
        if command.expires:
            allow(command.time_in_force == TimeInForce.GTD)
        if command.stop:
            allow(is_stop)

    def check_open(self, terms: Terms) -> None:
        expect(terms.phase != Phase.HALT, Reason.HALTED)
        expect(terms.phase != Phase.DELISTED, Reason.NOT_LISTED)

    def check_phase(self, command: Command, terms: Terms) -> None:
        self.check_open(terms)
        if terms.collecting:
            expect(
                command.type == OrderType.LIMIT and command.time_in_force in STAYING and not command.flags and not command.min_size,
                Reason.WRONG_PHASE,
            )

    def expiry_of(self, command: Command, terms: Terms) -> int:
        if command.time_in_force == TimeInForce.DAY:
            end = terms.instrument.day_end * 10**9
            while end <= self.clock:
                end += DAY_NS * max(1, (self.clock - end) // DAY_NS)
            return end
        return command.expires

    def trigger_of(self, command: Command, terms: Terms) -> int:
        """The price that triggers a stop."""
        if command.type != OrderType.TRAILING_STOP:
            return command.stop
        expect(terms.last != 0, Reason.NO_REFERENCE)
        trigger = terms.last + command.stop if command.side == Side.BUY else terms.last - command.stop
        expect(1 <= trigger <= terms.instrument.price_max, Reason.PRICE_OUT_OF_RANGE)
        return trigger

    def slid_price(self, command: Command, terms: Terms) -> int:
        """The price of a post-only order that would match."""
        makers = self.makers(command.instrument, command.side, command.price)
        if not command.flags & POST_ONLY or not makers:
            return command.price
        price = makers[0].price + (-1 if command.side == Side.BUY else 1)
        expect(bool(command.flags & SLIDE) and 1 <= price <= terms.instrument.price_max, Reason.POST_ONLY_WOULD_TAKE)
        return price

    def check_price(self, terms: Terms, price: int, least: int) -> None:
        expect(least <= price <= terms.instrument.price_max, Reason.PRICE_OUT_OF_RANGE)

    def check_size(self, terms: Terms, account: int, size: int) -> None:
        expect(size >= terms.instrument.size_min, Reason.SIZE_TOO_SMALL)
        expect(size <= terms.instrument.size_max, Reason.SIZE_TOO_LARGE)
        expect(size <= (self.account[account].size_max or size), Reason.SIZE_TOO_LARGE)

    def check_notional(self, terms: Terms, account: int, price: int, size: int) -> None:
        """A price of 0 leaves only the size."""
        expect(terms.cost(price, size) <= MONEY_MAX and size * terms.lot_units <= MONEY_MAX, Reason.NOTIONAL_TOO_LARGE)
        for limit in (terms.instrument.notional_max, self.account[account].notional_max):
            expect(not limit or terms.notional(price, size) <= limit, Reason.NOTIONAL_TOO_LARGE)

    def check_count(self, command: Command, terms: Terms) -> None:
        stays = command.type != OrderType.MARKET and command.time_in_force in STAYING
        if not stays:
            return
        expect(len(self.open) < self.orders_max, Reason.TOO_MANY_ORDERS)
        in_book = sum(order.instrument == command.instrument for order in self.open.values())
        expect(not terms.instrument.orders_max or in_book < terms.instrument.orders_max, Reason.TOO_MANY_ORDERS)
        limit = self.account[command.account].orders_max
        expect(not limit or sum(order.account == command.account for order in self.open.values()) < limit, Reason.TOO_MANY_ORDERS)

    def check_stops(self, command: Command, terms: Terms) -> None:
        waiting = sum(order.waits and order.instrument == command.instrument for order in self.open.values())
        expect(command.type not in STOPS or waiting < terms.instrument.stops_max, Reason.TOO_MANY_STOPS)

    def check_parts(self, terms: Terms, size: int, display: int) -> None:
        expect(not display or -(-size // display) <= terms.instrument.parts_max, Reason.TOO_MANY_PARTS)

    def check_worth(self, command: Command, terms: Terms, limit: int, size: int, self_trade: int) -> None:
        """A MARKET order is worth what it would trade."""
        if command.type != OrderType.MARKET or not terms.instrument.market_notional:
            return
        worth = self.worth(command.instrument, command.side, limit, size, command.account, self_trade)
        for most in (terms.instrument.notional_max, self.account[command.account].notional_max):
            expect(not most or worth <= most, Reason.NOTIONAL_TOO_LARGE)

    def partner_of(self, command: Command) -> Order | None:
        if not command.order:
            return None
        partner = self.open.get(command.order)
        if partner is None or partner.account != command.account:
            raise Refused(Reason.UNKNOWN_ORDER, command.order)
        expect((partner.instrument, partner.side, partner.partner) == (command.instrument, command.side, None), Reason.NOT_LINKABLE)
        expect(command.type in STOPS or partner.waits, Reason.NOT_LINKABLE)
        return partner

    def named(self, command: Command) -> Order:
        """The account's open order that the command means."""
        self.check_account(command)
        name = command.order or self.client_ids.get((command.account, command.client_id), 0)
        order = self.open.get(name)
        if order is None or order.account != command.account:
            raise Refused(Reason.UNKNOWN_ORDER)
        return order

    def check_replace(self, command: Command, order: Order) -> None:
        terms = self.terms[order.instrument]
        priced = order.type in PRICED
        expect(not command.stop or (order.waits and not order.trail), Reason.UNKNOWN_OPTION)
        expect(not self.account[order.account].frozen, Reason.ACCOUNT_FROZEN)
        self.check_open(terms)
        expect(not (command.stop and terms.collecting), Reason.WRONG_PHASE)
        self.check_price(terms, command.price, 1 if priced else 0)
        if command.stop:
            self.check_price(terms, command.stop, 1)
        self.check_size(terms, order.account, command.size)
        self.check_parts(terms, command.size, order.display)
        self.check_notional(terms, order.account, command.price if priced else 0, command.size)
        expect(order.filled + command.size <= MONEY_MAX, Reason.NOTIONAL_TOO_LARGE)
        expect(order.value + terms.cost(command.price if priced else 0, command.size, order.unpaid if priced else 0) <= MONEY_MAX, Reason.NOTIONAL_TOO_LARGE)
        expect(order.waits or terms.in_band(order.side, command.price), Reason.PRICE_OUT_OF_BAND)
        takes = not terms.collecting and self.makers(order.instrument, order.side, command.price)
        expect(not (order.post_only and takes), Reason.POST_ONLY_WOULD_TAKE)
        if not order.waits and not terms.collecting:
            many = self.meets_too_many(order.instrument, order.side, command.price, command.size, order.account, order.self_trade)
            expect(not many, Reason.TOO_MANY_FILLS)
        if not order.holds:
            return
        needed = terms.cost(command.price, command.size, order.unpaid) if order.side == Side.BUY else command.size * terms.lot_units
        has = self.hold_of(order)
        if order.partner:
            needed, has = max(needed, self.hold_of(order.partner)), max(has, self.hold_of(order.partner))
        expect(needed <= self.balance(order.account, self.held_asset(order))[0] + has, Reason.INSUFFICIENT_FUNDS)
