"""Exchanges with many open orders, and commands for them without end, from a seed: those that make sense, and hostile records.

Beside crowded books there are always a fresh one and one that was emptied. Commands are made by the thousand, as arrays of the engine's
records, and nothing here asks a twin, so that millions are quick.
"""

from collections.abc import Iterable
from decimal import Decimal

import numpy as np

from engine import MONEY_MAX, CommandKind, EventKind, Exchange, Instrument, OrderType, Phase, SelfTrade, Side, TimeInForce
from tests.engine.oracle_checks import STOPS
from tests.engine.oracle_model import ALL_INSTRUMENTS, BOTH_SIDES, DAY_NS, POST_ONLY, PRICED, QUOTE, SLIDE, TAKE_PROFITS, Command

Array = np.ndarray

RECORD = np.dtype([
    ("time", "<i8"), ("order", "<u8"), ("client_id", "<u8"), ("price", "<i8"), ("size", "<i8"), ("stop", "<i8"), ("display", "<i8"), ("min_size", "<i8"),
    ("expires", "<i8"), ("account", "<u4"), ("instrument", "<u2"), ("kind", "u1"), ("side", "u1"), ("type", "u1"), ("time_in_force", "u1"), ("flags", "u1"),
    ("self_trade", "u1"), ("spare", "<u4"),
])
FIELDS = tuple(name for name in RECORD.names or () if name != "time")
EVENT = np.asarray(Exchange(1).events).dtype
KNOWN = np.dtype([("order", "<u8"), ("account", "<u4"), ("instrument", "<u2"), ("side", "u1")])

POPULATIONS = (20_000, 50_000, 100_000, 300_000)
ACCOUNTS = 20
MIDDLE = 5_000
INSTRUMENTS = (
    Instrument("BTC-USD", "BTC", "USD", Decimal("0.01"), Decimal(1)),
    Instrument(
        "ETH-USD", "ETH", "USD", Decimal("0.01"), Decimal(1), maker_fee=1_234, taker_fee=56_789, hold_fee=60_000, day_end=7, parts_max=20, fills_max=900,
    ),
    Instrument("ETH-BTC", "ETH", "BTC", Decimal("0.01"), Decimal(1), price_max=9_999, size_max=1_000_000, band=900_000, stops_max=20_000),
    Instrument("BTC-ETH", "BTC", "ETH", Decimal("0.01"), Decimal(1), maker_fee=7_001, taker_fee=300_000, stops_max=3_000, fills_max=40),
    Instrument("USD-BTC", "USD", "BTC", Decimal("0.01"), Decimal(1), size_min=2, orders_max=30_000, notional_max=1 << 40, market_notional=0),
)
EMPTIED = 4
FILLED_TO = (0.5, 0.75, 1, 0, 1.05)
"""Each book is filled until so much of the population is there."""

STYLES = (0.05, 0.1, 0.07, 0.17, 0.08, 0.03, 0.5)
"""The shares of post-only orders, icebergs, those that expire, stops, those that are filled at once or in some part, markets, and of those without options."""

TAKERS = (4, 5)
"""The styles that trade wherever their price is."""

LOTS = np.array((1, 2, 3, 4, 5, 8, 10, 25, 100, 1_000))
STARTS = np.array((-1, 0, 1, 10**9, 10**10, 10**11, 10**12, 10**13))
"""How far an expiry is away, in ns."""

EDGES = np.array([
    (sign * (1 << bits) + more) % (1 << 64) for bits in (0, 7, 8, 15, 16, 23, 24, 31, 32, 40, 48, 61, 62, 63) for sign in (1, -1) for more in (-1, 0, 1)
], np.uint64)
PAST, FUTURE = (EDGES.view(np.int64)[part] for part in (EDGES.view(np.int64) <= 1 << 48, EDGES.view(np.int64) > 1 << 60))


class Crowd:
    """An exchange with about `population` open orders, and what may be asked of it next. `known` are orders, most of them open."""

    def __init__(self, seed: int, population: int) -> None:
        self.seed = seed
        self.random = np.random.default_rng(seed)
        self.population = population
        self.now = 0
        self.crossing = 0.0     # the share of orders that are made to trade
        self.known = np.zeros(population, KNOWN)
        self.copy: Exchange | None = None   # which does the same, in calls of other lengths
        self.exchange = Exchange(population + population // 5 + 8, ACCOUNTS + 3, tombstones=1_000, client_ids_max=population // 8, key=seed)
        for asset in ("BTC", "ETH", "USD"):
            self.exchange.add_asset(asset, 2)
        for instrument in INSTRUMENTS:
            self.exchange.add_instrument(instrument)
        for account in range(ACCOUNTS):
            self.exchange.open_account()
            for asset in range(3):
                self.exchange.deposit(account, asset, 1 << (57 if account else 20))
            self.exchange.set_account(account, account % 3, account % 8, 1 + account % 5)
        for instrument, part in enumerate(FILLED_TO):
            while self.exchange.order_count < population * part:
                orders = self.places(min(1_000, population // 20))
                orders["instrument"] = instrument
                self.run(orders)
        self.run(records(Command(CommandKind.CANCEL_ALL, account, EMPTIED, BOTH_SIDES) for account in range(ACCOUNTS)))
        self.crossing = 0.2
        self.look()

    def run(self, commands: Array) -> None:
        """Run commands in one call, and know the orders that it accepted, in the place of others."""
        self.exchange.execute(commands.tobytes())
        if self.copy:
            for part in np.split(commands, np.sort(self.random.integers(len(commands) + 1, size=3))):
                self.copy.execute(part.tobytes())
        events = self.events()
        accepted = events[events["kind"] == EventKind.ACCEPTED]
        places = self.random.integers(self.population, size=len(accepted))
        for name in KNOWN.names or ():
            self.known[name][places] = accepted[name]

    def events(self) -> Array:
        """What the last call told."""
        return np.frombuffer(self.exchange.events, EVENT)

    def look(self) -> None:
        """Know all open orders, or as many as there is room for. O(open orders)."""
        orders = [order for account in range(self.exchange.accounts) for order in self.exchange.orders(account)]
        some = np.array([(order.order, order.account, order.instrument, order.side) for order in orders], KNOWN)[:self.population]
        self.known[:len(some)] = some

    # Commands that make sense

    def commands(self, count: int) -> Array:
        """Commands of every kind. There are more new orders or fewer, so that the exchange stays as crowded as it is."""
        random = self.random
        group = self.places(count)
        named = random.random(count) > (0.7 if self.exchange.order_count < self.population else 0.4)
        group[named] = self.named(np.count_nonzero(named))
        for place in np.flatnonzero(random.random(count) < 0.003):
            group[place] = records([self.seldom()])[0]
        group["time"] = self.now + random.integers(10**7, size=count).cumsum()
        self.now = int(group["time"][-1]) + DAY_NS * (random.random() < 0.001)
        return group

    def prices(self, side: Array) -> Array:
        random = self.random
        away = np.where(random.random(len(side)) < self.crossing, random.normal(0, 5, len(side)), 10 + random.random(len(side)) ** 2 * (MIDDLE - 11))
        return MIDDLE + np.where(side == Side.BUY, -1, 1) * away.astype(int)

    def places(self, count: int) -> Array:
        """Orders of every type, half of them without options."""
        random = self.random
        group = np.zeros(count, RECORD)
        group["kind"] = CommandKind.PLACE
        group["account"] = random.integers(ACCOUNTS, size=count)
        group["instrument"] = random.integers(len(INSTRUMENTS), size=count)
        group["side"] = random.integers(2, size=count)
        group["price"] = self.prices(group["side"])
        group["size"] = random.choice(LOTS, count)
        group["client_id"] = np.where(random.random(count) < 0.3, random.integers(4 * self.population, size=count), 0)
        group["self_trade"] = np.where(random.random(count) < 0.4, random.integers(1, 6, size=count), SelfTrade.ACCOUNT_DEFAULT)
        style = random.choice(len(STYLES), count, p=STYLES)
        if not self.crossing:
            style[np.isin(style, TAKERS)] = len(STYLES) - 1
        for number, options in enumerate((self.post_only, self.iceberg, self.until, self.stop, self.at_once, self.market)):
            some = group[style == number]
            options(some)
            group[style == number] = some
        return group

    def post_only(self, group: Array) -> None:
        group["flags"] = self.random.choice((POST_ONLY, POST_ONLY | SLIDE), len(group))

    def iceberg(self, group: Array) -> None:
        group["display"] = self.random.integers(1, 9, size=len(group))

    def until(self, group: Array) -> None:
        chance = self.random.random(len(group))
        group["time_in_force"] = np.select([chance < 0.4, chance < 0.6], [TimeInForce.GTD, TimeInForce.DAY], TimeInForce.GTC)
        group["expires"] = np.where(chance < 0.4, self.now + self.random.choice(STARTS, len(group)), 0)

    def at_once(self, group: Array) -> None:
        group["time_in_force"] = self.random.choice((TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC), len(group))
        group["min_size"] = self.random.choice((0, 0, 1, 3), len(group))
        group["price"] = MIDDLE

    def market(self, group: Array) -> None:
        chance = self.random.random(len(group))
        group["type"] = OrderType.MARKET
        group["size"] = np.where(chance < 0.002, 1 << self.random.integers(30, size=len(group)), group["size"])
        group["flags"] = np.where(chance > 0.7, QUOTE, 0)
        group["size"] *= np.where(chance > 0.7, MIDDLE, 1)
        group["price"] *= self.random.integers(2, size=len(group))

    def stop(self, group: Array) -> None:
        """Stops of each kind. Some are one of a pair, if the order that was picked lets itself be linked."""
        random, count = self.random, len(group)
        linked = random.random(count) < 0.3
        known = self.some_known(count)
        for name in KNOWN.names or ():
            group[name] = np.where(linked, known[name], group[name])
        away = 1 + (random.random(count) ** 3 * 2_000).astype(int)
        worse = np.where(group["side"] == Side.BUY, 1, -1)
        group["type"] = random.choice(STOPS, count)
        reversed = np.where(np.isin(group["type"], TAKE_PROFITS), -1, 1)
        group["stop"] = np.where(group["type"] == OrderType.TRAILING_STOP, away, MIDDLE + reversed * worse * away)
        group["price"] = np.where(np.isin(group["type"], PRICED), group["stop"] + worse * random.integers(-2, 5, size=count), 0)
        self.until(group)

    def some_known(self, count: int) -> Array:
        return self.known[self.random.integers(len(self.known), size=count)]

    def named(self, count: int) -> Array:
        """Commands for open orders, by their id or their client id."""
        random = self.random
        group = np.zeros(count, RECORD)
        known = self.some_known(count)
        chance = random.random(count)
        group["kind"] = random.choice((CommandKind.CANCEL, CommandKind.CANCEL, CommandKind.REDUCE, CommandKind.REPLACE, CommandKind.REPLACE), count)
        group["account"] = known["account"]
        group["order"] = np.where(chance < 0.95, known["order"], 0)
        group["client_id"] = np.where(chance < 0.95, 0, random.integers(4 * self.population, size=count))
        group["size"] = random.choice(LOTS, count)
        group["price"] = self.prices(random.integers(2, size=count))
        group["stop"] = np.where((chance < 0.1) & (group["kind"] == CommandKind.REPLACE), self.prices(random.integers(2, size=count)), 0)
        return group

    def seldom(self) -> Command:
        """What few commands are: of time, accounts and instruments, and the cancelling of all orders."""
        random = self.random
        below = lambda end: int(random.integers(end))       # noqa: E731
        account, instrument = below(ACCOUNTS), below(len(INSTRUMENTS))
        match below(12):
            case 0 | 1:
                return Command(CommandKind.SET_PHASE, instrument=instrument, type=(Phase.AUCTION, Phase.AUCTION, Phase.HALT)[below(3)])
            case 2 | 3:
                return Command(CommandKind.SET_PHASE, instrument=instrument, type=Phase.TRADING)
            case 4:
                return Command(CommandKind.SET_REFERENCE, instrument=instrument, price=(0, MIDDLE, MIDDLE + 9, 10)[below(4)])
            case 5:
                return Command(CommandKind.SET_FEES, instrument=instrument, type=below(9), price=below(70_000), size=below(70_000))
            case 6:
                return Command(CommandKind.SET_ACCOUNT, account, type=below(9), order=below(3), self_trade=1 + below(5))
            case 7:
                return Command(CommandKind.SET_ACCOUNT, account, order=1, self_trade=1, client_id=9 * below(2), size=500, price=10**6)
            case 8:
                return Command(CommandKind.DEPOSIT, account, below(4), size=below(1 << 40))
            case 9:
                return Command(CommandKind.WITHDRAW, account, below(4), size=1 << below(62))
            case 10:
                return Command(CommandKind.CANCEL_ALL, account, (instrument, ALL_INSTRUMENTS)[below(2)], below(4))
        return Command((CommandKind.OPEN_ACCOUNT, CommandKind.ADVANCE)[below(2)])

    def settle(self) -> None:
        """Put back what stops an exchange from being crowded and busy; now and then empty a book but the first."""
        commands = [Command(CommandKind.SET_PHASE, instrument=book.index, time=self.now) for book in self.exchange.books if book.phase != Phase.TRADING]
        for account in range(ACCOUNTS):
            commands.append(Command(CommandKind.SET_ACCOUNT, account, order=account % 3, self_trade=1 + account % 5, time=self.now))
            commands += [Command(CommandKind.DEPOSIT, account, asset, size=1 << 40, time=self.now) for asset in range(len(INSTRUMENTS))]
        if self.random.random() < 0.1:
            book = int(self.random.integers(1, len(INSTRUMENTS)))
            commands += [Command(CommandKind.CANCEL_ALL, account, book, BOTH_SIDES, time=self.now) for account in range(ACCOUNTS)]
        self.run(records(commands))
        for _ in range(40):
            if self.exchange.order_count < 0.9 * self.population:
                self.run(self.places(min(1_000, self.population)))

    # Hostile records

    def hostile(self, count: int) -> Array:
        """Records that nobody would send in good faith: all bits random, all fields at an edge, or good ones with one field changed.

        Two things are kept as seldom as they are in life, for they leave little to do: cancelling all of an account's orders, and times at the end of time.
        """
        random = self.random
        group = self.commands(count)
        chance = random.random(count)
        noise = chance < 0.1
        group[noise] = np.frombuffer(random.bytes(RECORD.itemsize * np.count_nonzero(noise)), RECORD)
        changed = random.integers(len(FIELDS), size=count)
        for number, name in enumerate(FIELDS):
            strange = ~noise & ((chance < 0.4) | (changed == number))
            group[name][strange] = self.strange(name, np.count_nonzero(strange)).astype(RECORD[name])
        all_orders = (group["kind"] == CommandKind.CANCEL_ALL) & (random.random(count) < 0.97)
        group["kind"][all_orders] = CommandKind.CANCEL
        chance = random.random(count)
        group["time"] = np.select([chance < 0.00002, chance < 0.05], [random.choice(FUTURE, count), random.choice(PAST, count)], self.now)
        return group

    def strange(self, name: str, count: int) -> Array:
        """The bits of an edge, of what is near one of the exchange's own numbers, or random ones."""
        random = self.random
        near = np.choose(random.integers(7, size=count), self.near(name, count)).astype(np.uint64)
        chance = random.random(count)
        return np.select([chance < 0.6, chance < 0.9], [near, random.choice(EDGES, count)], random.integers(1 << 64, size=count, dtype=np.uint64))

    def near(self, name: str, count: int) -> tuple[Array | int, ...]:
        """Seven of each."""
        known = self.some_known(count)
        order, account, instrument = known["order"], known["account"].astype(int), known["instrument"].astype(int)
        price_max, size_max = (np.array([getattr(terms, limit) for terms in INSTRUMENTS])[instrument] for limit in ("price_max", "size_max"))
        most = MONEY_MAX // MIDDLE
        match name:
            case "order":
                bits = [np.uint64(number) for number in (0xFFFFFF, 1, 1 << 24, 1 << 63)]
                return order, order, order & bits[0], order + bits[1], order ^ bits[2], order | bits[0], order ^ bits[3]
            case "client_id":
                return (self.random.integers(4 * self.population, size=count),) * 7
            case "price" | "stop":
                return 0, 1, MIDDLE, MIDDLE, MIDDLE + 1, price_max, price_max + 1
            case "size" | "display" | "min_size":
                return 0, 1, 2, size_max, size_max + 1, most, most + 1
            case "expires":
                return 0, 0, self.now - 1, self.now, self.now + 1, self.now + 10**9, self.now + DAY_NS
            case "account":
                return account, account, account, account, self.exchange.accounts - 1, self.exchange.accounts, self.exchange.accounts + 1
            case "instrument":
                return instrument, instrument, instrument, instrument, len(INSTRUMENTS) - 1, len(INSTRUMENTS), ALL_INSTRUMENTS
        return tuple(self.random.integers(15 if name == "kind" else 7, size=count) for _ in range(7))


def records(commands: Iterable[Command]) -> Array:
    """Commands as an array of records."""
    return np.frombuffer(b"".join([command.packed() for command in commands]), RECORD)
