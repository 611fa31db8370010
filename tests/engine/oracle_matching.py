"""The twin's orders: how they match, rest, wait and end. See `oracle_exchange`."""

from engine import EventKind, OrderType, Reason, SelfTrade, Side
from tests.engine.oracle_ledger import Ledger
from tests.engine.oracle_model import PRICED, Order, fee


class Matching(Ledger):
    """One order after the other, and every stop looked at after every trade."""

    def __init__(self, orders_max: int = 1 << 20, accounts_max: int = 1 << 20, client_ids_max: int = 1 << 16) -> None:
        super().__init__(orders_max, accounts_max, client_ids_max)
        self.client_ids: dict[tuple[int, int], int] = {}        # order ids by account and client id
        self.done_client_ids: list[tuple[int, int]] = []        # the first one to be done at the start
        self.places = 0
        self.met = 0                                            # orders that those of the running command have met
        self.free_slots: list[int] = []
        self.triggered: list[Order] = []                        # about to enter, the first one first

    # What an order would meet

    def within(self, side: int, price: int, limit: int) -> bool:
        return price <= limit if side == Side.BUY else price >= limit

    def one_owner(self, a: int, b: int) -> bool:
        return a == b or self.account[a].group == self.account[b].group != 0

    def makers(self, instrument: int, side: int, limit: int) -> list[Order]:
        return [maker for maker in self.resting(instrument, 1 - side) if self.within(side, maker.price, limit)]

    def reach(self, instrument: int, side: int, limit: int, account: int, self_trade: int) -> list[tuple[int, int]]:
        """Price and lots of each maker that an order of the account would trade with."""
        makers = self.makers(instrument, side, limit)
        own = [] if self_trade == SelfTrade.ALLOW else [maker for maker in makers if self.one_owner(maker.account, account)]
        if self_trade == SelfTrade.CANCEL_OLDEST or not own:
            return [(maker.price, maker.remaining) for maker in makers if maker not in own]
        ahead = makers[: makers.index(own[0])]
        return [(maker.price, maker.shown if maker.price == own[0].price else maker.remaining) for maker in ahead]

    def price_of_buying(self, instrument: int, limit: int, size: int, account: int, self_trade: int) -> int:
        """The most that a buy of so many lots without a limit of its own can cost, fees included."""
        notional = self.worth(instrument, Side.BUY, limit, size, account, self_trade)
        return notional + fee(self.terms[instrument].fees(self.account[account].tier)[1], notional)

    def worth(self, instrument: int, side: int, limit: int, size: int, account: int, self_trade: int) -> int:
        """The notional of what an order without a limit of its own would trade at most."""
        mode = SelfTrade.CANCEL_OLDEST if self_trade == SelfTrade.DECREMENT else self_trade
        total = 0
        for price, lots in self.reach(instrument, side, limit, account, mode):
            total += self.terms[instrument].notional(price, min(size, lots))
            size -= min(size, lots)
        return total

    def meetings(self, instrument: int, side: int, limit: int, size: int, account: int, self_trade: int) -> int:
        """How many orders an order could meet: at each price all that show, then the parts in which icebergs could show the lots that are still wanted."""
        met = 0
        makers = self.makers(instrument, side, limit)
        for price in dict.fromkeys(maker.price for maker in makers):
            hidden = []
            for maker in (maker for maker in makers if maker.price == price):
                if size <= 0:
                    return met
                met += 1
                own = self_trade != SelfTrade.ALLOW and self.one_owner(maker.account, account)
                if own and self_trade in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
                    return met
                if not own or self_trade == SelfTrade.DECREMENT:
                    size -= maker.shown
                    hidden.append(maker)
            if size <= 0:
                return met
            parts = sum(-(-min(maker.remaining - maker.shown, size) // maker.display) for maker in hidden if maker.remaining > maker.shown)
            met += min(parts, size)
            size -= sum(maker.remaining - maker.shown for maker in hidden)
        return met

    def meets_too_many(self, instrument: int, side: int, limit: int, size: int, account: int, self_trade: int) -> bool:
        return self.met + self.meetings(instrument, side, limit, size, account, self_trade) > self.terms[instrument].instrument.fills_max

    def lots_for(self, instrument: int, side: int, reached: list[tuple[int, int]], money: int, account: int) -> int:
        terms = self.terms[instrument]
        rate = terms.fees(self.account[account].tier)[1] if side == Side.BUY else 0
        total = spent = 0
        for price, lots in reached:
            # The most lots that the money is enough for, by halving.
            low, high = 0, lots
            while low < high:
                middle = (low + high + 1) // 2
                notional = spent + terms.notional(price, middle)
                if notional + fee(rate, notional) <= money:
                    low = middle
                else:
                    high = middle - 1
            total += low
            if low < lots:
                break
            spent += terms.notional(price, low)
        return total

    # Ends

    def finish(self, order: Order) -> None:
        """The order is done: its slot is free, and its client id is one of the last ones."""
        del self.open[order.order]
        self.free_slots.append(order.order & 0xFFFFFF)
        if order.client_id:
            self.done_client_ids.append((order.account, order.client_id))
            if len(self.done_client_ids) > self.client_ids_max:
                del self.client_ids[self.done_client_ids.pop(0)]

    def drop(self, order: Order, reason: Reason) -> None:
        """Cancel one order and nothing else."""
        before, size = self.hold_of(order), order.remaining
        if order.place:
            self.touch_level(order)
        order.remaining = 0
        self.tell_order(EventKind.CANCELLED, order, order.price, size, reason)
        self.hold(order, before)
        order.place = 0
        if order in self.triggered:
            self.triggered.remove(order)
        if order.partner:
            order.partner.partner = order.partner = None
        self.finish(order)

    def cancel_order(self, order: Order, reason: Reason) -> None:
        partner = order.partner
        self.drop(order, reason)
        if partner:
            self.drop(partner, Reason.LINKED)

    def cancel_partner(self, order: Order) -> None:
        if order.partner:
            self.drop(order.partner, Reason.LINKED)

    # Matching

    def match(self, taker: Order, limit: int) -> None:
        """Fill an incoming order; it may be cancelled on the way."""
        while taker.order in self.open and taker.remaining:
            makers = self.makers(taker.instrument, taker.side, limit)
            if not makers:
                return
            maker = makers[0]
            self.met += 1
            self.touch_level(maker)
            if taker.self_trade != SelfTrade.ALLOW and self.one_owner(taker.account, maker.account):
                self.prevent(taker, maker, newest=taker, oldest=maker, mode=taker.self_trade)
            else:
                self.trade(taker, maker, maker.price)

    def trade(self, taker: Order, maker: Order, price: int) -> None:
        self.cancel_partner(taker)
        self.cancel_partner(maker)
        size = min(order.shown if order.place else order.remaining for order in (taker, maker))
        self.settle(taker, maker, price, size)
        for order in (maker, taker):
            self.used_up(order)
        self.observe(maker.instrument, price)

    def prevent(self, taker: Order, maker: Order, newest: Order, oldest: Order, mode: int) -> None:
        """What happens instead of a trade between orders of one owner."""
        if mode in (SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH):
            self.cancel_order(oldest, Reason.SELF_TRADE)
        if mode in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
            self.cancel_order(newest, Reason.SELF_TRADE)
        if mode == SelfTrade.DECREMENT:
            size = min(order.shown if order.place else order.remaining for order in (taker, maker))
            for order in (oldest, newest):
                if order.remaining == size:
                    self.cancel_order(order, Reason.SELF_TRADE)
                    continue
                before = self.hold_of(order)
                order.remaining -= size
                if order.place:
                    order.shown -= size
                self.hold(order, before)
                self.tell_order(EventKind.REDUCED, order, order.price, size, Reason.SELF_TRADE)
                self.used_up(order)

    def used_up(self, order: Order) -> None:
        """If nothing of a resting order shows any more, it shows more or is done."""
        if not order.place or order.shown:
            return
        if order.remaining:
            self.show(order)
            self.tell_order(EventKind.DISPLAYED, order, order.price, order.shown)
        else:
            order.place = 0
            self.finish(order)

    def show(self, order: Order) -> None:
        """Put an order at the end of the queue of its price."""
        self.places += 1
        order.place = self.places
        order.shown = min(order.display or order.remaining, order.remaining)

    def rest(self, order: Order) -> None:
        self.show(order)
        self.touch_level(order)
        if order.shown < order.remaining:
            self.tell_order(EventKind.DISPLAYED, order, order.price, order.shown)

    def enter(self, order: Order, limit: int, stays: bool) -> None:
        """Let an order match, and then rest or end."""
        self.match(order, limit)
        if order.order not in self.open:
            return
        if order.remaining == 0:
            self.finish(order)
        elif stays:
            self.rest(order)
        else:
            self.cancel_order(order, Reason.UNFILLED)

    # Stops

    def is_reached(self, order: Order, price: int) -> bool:
        return price >= order.stop if order.waits_for_rise else price <= order.stop

    def observe(self, instrument: int, price: int) -> None:
        """What one trade does to the stops of a book."""
        waiting = [order for order in self.open.values() if order.instrument == instrument and order.waits and not order.triggered]
        reached = [order for order in waiting if self.is_reached(order, price)]
        risen = sorted((order for order in reached if order.waits_for_rise), key=lambda order: (order.stop, order.number))
        fallen = sorted((order for order in reached if not order.waits_for_rise), key=lambda order: (-order.stop, order.number))
        for order in risen + fallen:
            order.triggered = True
            self.triggered.append(order)
        for order in waiting:
            if order.trail and not order.triggered:
                order.stop = min(order.stop, price + order.trail) if order.side == Side.BUY else max(order.stop, price - order.trail)

    def activate(self, order: Order) -> None:
        terms = self.terms[order.instrument]
        self.tell_order(EventKind.TRIGGERED, order, order.stop, order.remaining)
        self.cancel_partner(order)
        order.waits = False
        order.stop = 0
        limited = order.type in PRICED
        order.type = OrderType.LIMIT if limited else OrderType.MARKET
        limit = order.price if limited else terms.market_limit(order.side, order.price)
        needed = 0
        if order.side == Side.BUY and not limited:
            needed = self.price_of_buying(order.instrument, limit, order.remaining, order.account, order.self_trade)
        if limited and not terms.in_band(order.side, order.price):
            self.cancel_order(order, Reason.PRICE_OUT_OF_BAND)
        elif needed > self.balance(order.account, terms.quote)[0]:
            self.cancel_order(order, Reason.INSUFFICIENT_FUNDS)
        elif self.meets_too_many(order.instrument, order.side, limit, order.remaining, order.account, order.self_trade):
            self.cancel_order(order, Reason.TOO_MANY_FILLS)
        else:
            self.enter(order, limit, stays=limited)

    def enter_stop(self, order: Order) -> None:
        last = self.terms[order.instrument].last
        if last and self.is_reached(order, last):
            self.activate(order)
            return
        order.waits = True
        self.tell_order(EventKind.WAITING, order, order.stop, order.remaining)

    def run_triggered(self) -> None:
        while self.triggered:
            self.activate(self.triggered.pop(0))
