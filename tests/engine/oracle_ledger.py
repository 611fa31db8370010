"""The twin's events, accounts and money. See `oracle_exchange`."""

from dataclasses import dataclass, field

from engine import FEE_SCALE, Event, EventKind, Instrument, Reason, Side
from tests.engine.oracle_model import Account, Order, Terms


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


class Ledger:
    """Events, orders by id, what everybody has."""

    def __init__(self, orders_max: int = 1 << 20, accounts_max: int = 1 << 20, client_ids_max: int = 1 << 16) -> None:
        self.orders_max = orders_max
        self.accounts_max = accounts_max
        self.client_ids_max = client_ids_max
        self.decimals: dict[str, int] = {}
        self.terms: list[Terms] = []
        self.account: list[Account] = []
        self.available: dict[tuple[int, int], int] = {}         # by account and asset
        self.held: dict[tuple[int, int], int] = {}
        self.fees: list[int] = []
        self.supply: list[int] = []
        self.open: dict[int, Order] = {}                        # by id, in the order of acceptance
        self.clock = 0
        self.seq = 0
        self.batch = Batch([], {})

    @property
    def accounts(self) -> int:
        return len(self.account)

    def add_asset(self, name: str, decimals: int = 8) -> None:
        self.decimals[name] = decimals
        self.fees.append(0)
        self.supply.append(0)

    def add_instrument(self, instrument: Instrument) -> None:
        assets = list(self.decimals)
        self.terms.append(
            Terms(
                instrument, base=assets.index(instrument.base), quote=assets.index(instrument.quote),
                tick_value=int(instrument.tick * instrument.lot * 10 ** self.decimals[instrument.quote]),
                lot_units=int(instrument.lot * 10 ** self.decimals[instrument.base]),
            )
        )

    # Events

    def tell(self, kind: EventKind, **fields: int) -> None:
        self.seq += 1
        self.batch.events.append(Event(self.seq, kind, **fields))

    def tell_order(self, kind: EventKind, order: Order, price: int, size: int, reason: int = 0, flags: int = 0, fee: int = 0) -> None:
        self.tell(
            kind, order=order.order, client_id=order.client_id, account=order.account, instrument=order.instrument, side=order.side, price=price, size=size,
            remaining=order.remaining, filled=order.filled, value=order.value, reason=reason, flags=flags, fee=fee,
        )

    def tell_levels(self) -> None:
        sizes = self.level_sizes()
        for level in self.batch.levels:
            size = sizes.get(level, 0)
            if size != self.batch.sizes_before.get(level, 0):
                instrument, side, price = level
                count = len(self.queue(instrument, side, price)) if size else 0
                self.tell(EventKind.LEVEL, orders=count, instrument=instrument, side=side, price=price, size=size)

    def touch_level(self, order: Order) -> None:
        level = (order.instrument, order.side, order.price)
        if level not in self.batch.levels and not self.terms[order.instrument].collecting:
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
        """What is published."""
        sizes: dict[tuple[int, int, int], int] = {}
        for order in self.open.values():
            if order.place and not self.terms[order.instrument].collecting:
                level = (order.instrument, order.side, order.price)
                sizes[level] = sizes.get(level, 0) + order.shown
        return sizes

    def depth(self, instrument: int) -> tuple[list[int], list[int]]:
        """Both sides as published, best first, as flat lists of price and size."""
        sizes = self.level_sizes()
        bids = sorted(((price, size) for (book, side, price), size in sizes.items() if (book, side) == (instrument, 0)), reverse=True)
        asks = sorted((price, size) for (book, side, price), size in sizes.items() if (book, side) == (instrument, 1))
        return [number for level in bids for number in level], [number for level in asks for number in level]

    def balance(self, account: int, asset: int) -> tuple[int, int]:
        return self.available.get((account, asset), 0), self.held.get((account, asset), 0)

    # Money

    def held_asset(self, order: Order) -> int:
        terms = self.terms[order.instrument]
        return terms.quote if order.side == Side.BUY else terms.base

    def hold_of(self, order: Order) -> int:
        """What an order holds by itself."""
        terms = self.terms[order.instrument]
        if order.side == Side.SELL:
            return order.remaining * terms.lot_units
        return terms.cost(order.price, order.remaining, order.unpaid) if order.holds else 0

    def add(self, account: int, asset: int, units: int) -> None:
        """Change what is available."""
        self.available[account, asset] = self.available.get((account, asset), 0) + units
        self.touch_balance(account, asset)

    def hold(self, order: Order, before: int) -> None:
        """An order holds another amount than `before` by itself now. A pair holds the larger of its two holds."""
        after = self.hold_of(order)
        if not order.holds or not (before or after):
            return
        if order.partner:
            other = self.hold_of(order.partner)
            before, after = max(before, other), max(after, other)
        asset = self.held_asset(order)
        self.held[order.account, asset] = self.held.get((order.account, asset), 0) + after - before
        self.add(order.account, asset, before - after)

    def settle(self, taker: Order, maker: Order, price: int, size: int) -> None:
        """Take `size` off both orders, exchange money and asset between their accounts, and tell it."""
        terms = self.terms[taker.instrument]
        notional = terms.notional(price, size)
        holds = {order: self.hold_of(order) for order in (taker, maker)}
        fees = {}
        for order in (taker, maker):
            rate = terms.fees(self.account[order.account].tier)[order is taker and not order.post_only]
            paid = order.fee_parts // FEE_SCALE
            order.fee_parts += notional * max(0, rate)
            fees[order] = order.fee_parts // FEE_SCALE - paid
            if rate < 0 and order is maker:
                fees[order] = -min(notional * -rate // FEE_SCALE, fees[taker])
            order.remaining -= size
            order.filled += size
            order.value += notional
            if order.place:
                order.shown -= size
        buyer, seller = (taker, maker) if taker.side == Side.BUY else (maker, taker)
        self.hold(buyer, holds[buyer])
        self.add(buyer.account, terms.quote, -notional - fees[buyer])
        self.add(buyer.account, terms.base, size * terms.lot_units)
        self.hold(seller, holds[seller])
        self.add(seller.account, terms.base, -size * terms.lot_units)
        self.add(seller.account, terms.quote, notional - fees[seller])
        self.fees[terms.quote] += sum(fees.values())
        terms.last = price
        self.tell(
            EventKind.TRADE, order=taker.order, maker=maker.order, instrument=taker.instrument, side=taker.side, price=price, size=size,
            maker_fee=fees[maker], taker_fee=fees[taker], value=notional,
        )
        self.tell_order(EventKind.FILLED, maker, price, size, fee=fees[maker])
        self.tell_order(EventKind.FILLED, taker, price, size, flags=2, fee=fees[taker])
