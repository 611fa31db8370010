"""The books of Kraken's dialect: kept as the venue's guides say, they are the naive twin's after every message, and so are the checksums."""

from decimal import Decimal
from random import Random

import msgspec
import pytest

from engine import Commands, IndexedQueues, OrderBook, Side
from stream.dialects.kraken.checksum import checksum_of_levels, checksum_of_orders
from stream.dialects.kraken.connection import Connection
from stream.dialects.kraken.market_data import KrakenData
from stream.dialects.kraken.streams import CHANNELS
from stream.dialects.kraken.symbols import Symbol
from stream.dialects.publisher import Publisher
from stream.feed.feed import Feed
from stream.settings.config import Config
from stream.wire.framing import TEXT, frames_in, payload_of
from stream.wire.messages import Cancel, CancelAll, InstrumentTerms, Place, Replace
from tests.dialects.kraken_market import Client, EagerLevels, KrakenMarket, Levels, OrdersByLevel, read
from tests.dialects.spot import Line
from tests.engine.oracle_exchange import NaiveExchange
from tests.engine.random_flow import RandomFlow, new_exchange, new_oracle
from tests.worlds import QuietMarket

Books = Levels | OrdersByLevel
KINDS: dict[str, type[Books]] = {"book": Levels, "level3": OrdersByLevel}
MILLISECOND = 10**6


class Flow:
    """An exchange with its naive twin, and its feed as the dialect reads it."""

    def __init__(self, seed: int, kept: int = 1000, tombstones: int = 4096) -> None:
        self.oracle, self.exchange = new_oracle(seed), new_exchange(seed)
        self.flow = RandomFlow(seed, self.oracle)
        self.config = msgspec.structs.replace(Config(), market_by_order_kept=kept, tombstones_max=tombstones)
        self.feed = Feed(self.exchange, self.config)
        self._terms = [
            InstrumentTerms(
                each.name, f"B{index}", "Q", format(each.tick, "f"), format(each.lot, "f"), 8, 8, each.price_max, 1, each.size_max, 0, 0, 0, 0, 0, 0,
                0, "trading",
            )
            for index, each in enumerate(book.instrument for book in self.exchange.books)
        ]
        self.data = KrakenData(self)
        self.now = 1_700_000_000 * 10**9
        self.publisher = Publisher(self.data, lambda stream: CHANNELS[stream.channel].make(self.data, stream), self.now)

    def instrument_terms(self) -> list[InstrumentTerms]:
        return self._terms

    def run(self, count: int) -> None:
        """So many commands, in one group."""
        group = Commands()
        for _ in range(count):
            command = self.flow.next()
            group.extend(command.packed())
            self.flow.saw(self.oracle.run(command))
        self.exchange.execute(group)
        self.feed.apply(self.exchange.clock)

    def publish(self) -> None:
        """Tell it."""
        self.now += MILLISECOND
        self.publisher.publish(self.now)
        self.publisher.write()


class Reader:
    """One connection that keeps a book of each instrument."""

    def __init__(self, flow: Flow, channel: str, depth: int, kind: type[Books] | None = None) -> None:
        self.flow, self.channel, self.depth = flow, channel, depth
        self.line = Line()
        self.connection = Connection(flow.publisher, self.line, flow.config, flow.data, lambda token, now: None, flow.now)
        self.books = {symbol.name: (kind or KINDS[channel])(depth) for symbol in flow.data.symbols.all}
        self.snapshots = 0
        self.say("subscribe")

    def say(self, method: str) -> None:
        parameters = {"channel": self.channel, "symbol": list(self.books), "depth": self.depth, "token": ""}
        self.connection.receive(msgspec.json.encode({"method": method, "params": parameters}), self.flow.now)
        self.flow.publisher.write()

    def hear(self) -> None:
        """Take in what has come."""
        data, self.line.data = self.line.data, b""
        for frame in frames_in(data):
            message = read(payload_of(frame)) if frame[0] & 0x0F == TEXT else {}
            if message.get("channel") == self.channel:
                self.snapshots += message["type"] == "snapshot"
                self.books[message["data"][0]["symbol"]].hear(message)

    def compare(self) -> None:
        """The books are the twin's, up to their depth."""
        assert self.line.closed is None
        for symbol in self.flow.data.symbols.all:
            for side, name in ((Side.BUY, "bids"), (Side.SELL, "asks")):
                expected = queues_of(self.flow.oracle, symbol, side)[: self.depth]
                book = self.books[symbol.name]
                if isinstance(book, Levels):
                    assert book.best(name, self.depth) == [(price, sum(sizes)) for price, sizes in expected]
                else:
                    told = [(price, [order["order_qty"] for order in queue.values()]) for price, queue in book.sides[name].items()]
                    assert told == expected


def queues_of(oracle: NaiveExchange, symbol: Symbol, side: Side) -> list[tuple[Decimal, list[Decimal]]]:
    """What the twin's book shows at each price, the best first."""
    queues: dict[Decimal, list[Decimal]] = {}
    if not oracle.terms[symbol.index].collecting:
        for order in oracle.resting(symbol.index, side):
            queues.setdefault(order.price * Decimal(symbol.terms.tick), []).append(order.shown * Decimal(symbol.terms.lot))
    return sorted(queues.items(), reverse=side == Side.BUY)


@pytest.mark.parametrize("seed", range(4))
def test_books_are_the_twins_after_each_message(seed: int) -> None:
    random, flow = Random(seed), Flow(seed)
    readers = [Reader(flow, channel, depth) for channel in KINDS for depth in (10, 100)] + [Reader(flow, "book", 10, EagerLevels)]
    for _ in range(400):
        flow.run(random.choice((1, 1, 2, 9)))
        flow.publish()
        for reader in readers:
            reader.hear()
            reader.compare()
        if random.random() < 0.02:
            late = Reader(flow, random.choice(list(KINDS)), 10)
            late.hear()
            late.compare()
            late.connection.end()
    assert {reader.snapshots for reader in readers} == {len(flow.exchange.books)}    # who reads is never told to begin anew


@pytest.mark.parametrize("seed", range(3))
def test_books_come_right_however_slow_their_readers_are(seed: int) -> None:
    random, flow = Random(seed), Flow(seed, kept=30)
    readers = [Reader(flow, channel, 10) for channel in KINDS for _ in range(2)]
    for _ in range(300):
        for _ in range(random.choice((1, 1, 8))):
            flow.run(random.choice((1, 2, 9)))
        for reader in readers[1::2]:
            reader.line.full = random.random() < 0.7
        flow.publish()
        for reader in readers:
            reader.hear()
            if not reader.line.full:
                reader.flow.publish()
                reader.hear()
                reader.compare()
    slow = readers[3]
    assert slow.snapshots > len(flow.exchange.books)    # what was lost became a snapshot
    assert readers[1].snapshots == len(flow.exchange.books)    # levels are merged


def turn(kraken: KrakenMarket, random: Random) -> None:
    """An order, a change, or the end of one or of several, in a book that is wider than the windows."""
    desk, chance = kraken.alice, random.random()
    orders = kraken.market.exchange.orders(kraken.market.account_of("alice"))
    if chance < 0.6 or not orders:
        side = random.choice(("buy", "sell"))
        price = 200 + (-1 if side == "buy" else 1) * random.randrange(-2, 40)
        desk.ask(Place, "BTC-USD", side, price, random.randrange(1, 30), display=random.choice((0, 0, 3)), self_trade="cancel_oldest")
    elif chance < 0.75:
        order = random.choice(orders)
        desk.ask(Replace, order.order, order.price + random.randrange(-3, 4), random.randrange(1, 30))
    elif chance < 0.76:
        desk.ask(CancelAll, "BTC-USD", random.choice(("buy", "sell")))
    else:
        desk.ask(Cancel, random.choice(orders).order)


@pytest.mark.parametrize("seed", range(3))
def test_windows_are_the_best_of_a_wider_book(seed: int) -> None:
    random, kraken = Random(seed), KrakenMarket(dialect_weight_per_minute=1 << 40)
    book = kraken.market.exchange.books[0]
    symbol = kraken.dialect.data.symbols.named["BTC/USD"]
    tick, lot = Decimal(symbol.terms.tick), Decimal(symbol.terms.lot)
    readers: list[tuple[Client, Books]] = [(kraken.client(), kind(10)) for kind in (Levels, EagerLevels, OrdersByLevel, OrdersByLevel)]
    for client, mirror in readers:
        named = {"token": kraken.token()} if isinstance(mirror, OrdersByLevel) else {}
        for message in client.subscribe("level3" if named else "book", depth=10, **named):
            mirror.hear(message)
    widest = 0
    for _ in range(600):
        turn(kraken, random)
        if random.random() < 0.8:
            readers[3][0].line.full = random.random() < 0.2    # of one who is now and then slow
            kraken.tick()
            for number, (client, mirror) in enumerate(readers):
                for message in client.hear():
                    mirror.hear(message)
                if number < 3:
                    compare(mirror, book, tick, lot)
            widest = max(widest, len(book.levels.depth()[0]) // 2)
    assert widest > 15


def compare(mirror: Books, book: OrderBook, tick: Decimal, lot: Decimal) -> None:
    """A client's book is the engine's, order by order."""
    for side, (name, levels) in enumerate(zip(("bids", "asks"), book.levels.depth(mirror.depth), strict=True)):
        expected = [(price * tick, [order.displayed * lot for order in book.queue(side, price)]) for price in levels[::2]]
        if isinstance(mirror, Levels):
            assert mirror.best(name, mirror.depth) == [(price, sum(sizes)) for price, sizes in expected]
        else:
            assert [(price, [order["order_qty"] for order in queue.values()]) for price, queue in mirror.sides[name].items()] == expected


LEVELS_OF_THE_GUIDE = {
    "asks": "45285.2 0.00100000 45286.4 1.54571953 45286.6 1.54571109 45289.6 1.54560911 45290.2 0.15890660 45291.8 1.54553491 45294.7 0.04454749 "
    "45296.1 0.35380000 45297.5 0.09945542 45299.5 0.18772827",
    "bids": "45283.5 0.10000000 45283.4 1.54582015 45282.1 0.10000000 45281.0 0.10000000 45280.3 1.54592586 45279.0 0.07990000 45277.6 0.03310103 "
    "45277.5 0.30000000 45277.3 1.54602737 45276.6 0.15445238",
}
"""The example of the venue's guide to the checksum of `book`."""


def test_the_checksum_of_levels_is_that_of_the_venues_example() -> None:
    symbol = Symbol(msgspec.structs.replace(QuietMarket().instrument_terms()[0], tick="0.1", lot="0.00000001"), 0)
    numbers = {name: [Decimal(each) for each in text.split()] for name, text in LEVELS_OF_THE_GUIDE.items()}
    flat = {name: [int(each * (10**8 if i % 2 else 10)) for i, each in enumerate(found)] for name, found in numbers.items()}
    assert checksum_of_levels(symbol, flat["bids"], flat["asks"]) == 3310070434
    twin = Levels(10)
    twin.sides = {name: dict(zip(found[::2], found[1::2], strict=True)) for name, found in numbers.items()}
    assert twin.checksum() == 3310070434


ORDERS_OF_THE_GUIDE = {
    "asks": "44939.5 4.52308393 0.00111261 0.00100000 0.01000000|44950.0 0.10334926|44953.0 0.00064537|44955.0 0.00250000|44959.6 0.35630000 0.35630000|"
    "44960.1 0.00338072|44960.2 0.88967575|44967.0 3.14392283|44978.5 0.06778960|44979.2 0.35630000",
    "bids": "44939.4 0.88968699 0.45210000 0.10000000 0.14296323 0.25000000 0.10292988 0.33880000 1.28140860|44937.1 0.03346877|44934.7 0.35630000|"
    "44930.2 0.22734299 0.01000000 0.05550000 0.70000000 0.15000000|44928.0 0.00105240|44919.6 0.33870000|44919.5 0.07610000|44912.0 0.35630000|"
    "44909.7 0.06690000|44901.9 0.00088982",
}
"""The example of the venue's guide to the checksum of `level3`: at each price the orders, as they queue."""


def test_the_checksum_of_orders_is_that_of_the_venues_example() -> None:
    symbol = Symbol(msgspec.structs.replace(QuietMarket().instrument_terms()[0], tick="0.1", lot="0.00000001"), 0)
    queues, twin = IndexedQueues(), OrdersByLevel(10)
    for side, name in enumerate(("bids", "asks")):
        for level in ORDERS_OF_THE_GUIDE[name].split("|"):
            price, *sizes = map(Decimal, level.split())
            for size in sizes:
                queues.add(len(queues) + 1, side, int(price * 10), int(size * 10**8))
                twin.sides[name].setdefault(price, {})[str(len(queues))] = {"limit_price": price, "order_qty": size}
    assert checksum_of_orders(symbol, queues) == twin.checksum() == 1063832831
