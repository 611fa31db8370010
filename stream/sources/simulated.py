"""A simulated market: makers around a wandering fair price, and takers. All of it follows from one seed.

Everything is drawn as integers, so a seed gives the same commands on every machine, as long as no other account trades.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import isqrt
from random import Random
from typing import NamedTuple

from engine import Commands, Exchange, Instrument, OrderBook, OrderType, Side, TimeInForce
from stream.sources import refill

MAKERS = 4
QUOTES = 480
"""The most orders that the makers have open in one book."""

TAKES, REVISES = 6, 56
"""Of a hundred steps, so many take, or revise an order (as all others do when there are enough); the others place one."""
CANCELS, REDUCES = 50, 8
"""Of a hundred revisions, so many cancel or reduce the order; the others move it."""

REFILL_STEPS = 4096
FAIR_BITS = 20
"""The fair price is kept in parts of a tick, 2 ** -20 each."""
DEVIATION, RECALL_SECONDS = 20_000, 1_000_000
"""The fair price moves by 1 / DEVIATION of itself in a second (standard deviation), and comes back within some RECALL_SECONDS."""


class Profile(NamedTuple):
    """How one instrument trades: where its price begins, how far from it makers quote (both in ticks), and their usual size in lots."""

    instrument: Instrument
    price: int
    reach: int
    size: int
    funds: int
    """Whole coins of the base asset in each account."""


PROFILES = (
    Profile(Instrument("ETH-USDT", "ETH", "USDT", Decimal("0.01"), Decimal("0.0001"), taker_fee=100), 260_000, 600, 4_000, 100_000),
    Profile(Instrument("SOL-USDT", "SOL", "USDT", Decimal("0.01"), Decimal("0.001"), taker_fee=100), 15_500, 400, 6_000, 1_000_000),
    Profile(Instrument("XRP-USDT", "XRP", "USDT", Decimal("0.0001"), Decimal("0.1"), taker_fee=100), 6_100, 300, 8_000, 100_000_000),
)
QUOTE_FUNDS = 100_000_000
DECIMALS = 8


class SimulatedSource:
    """`rate` commands a second for each instrument: makers place, move and cancel, takers take with IOC and market orders.

    The fair price is a random walk that is drawn back to its beginning, some 4 % wide over days. At most QUOTES orders a
    book are open. No account runs dry: both sides are taken alike, and every REFILL_STEPS steps each account is brought back to the
    amounts it began with, which are more than twice all that could be traded in between.
    """

    name = "simulated"

    def __init__(self, seed: int = 1, rate: int = 50, profiles: Sequence[Profile] = PROFILES) -> None:
        if rate < 1 or not profiles:
            raise ValueError(f"rate {rate}, {len(profiles)} profiles: expected at least 1 of both")
        self.assets: dict[str, int] = {name: DECIMALS for profile in profiles for name in (profile.instrument.base, profile.instrument.quote)}
        self.instruments: list[Instrument] = [profile.instrument for profile in profiles]
        self.accounts: list[int] = []
        self.account_count = MAKERS + 1
        self._profiles = profiles
        self._rate = rate
        self._random = Random(seed)
        self._time = self._steps = 0

    def open(self, exchange: Exchange, accounts: list[int], commands: Commands, time: int = 0) -> None:
        """Fund the accounts of the makers and of the taker, and place the opening books."""
        self._exchange = exchange
        self.accounts = accounts
        self._funds = {exchange.asset(profile.instrument.base): profile.funds * 10**DECIMALS for profile in self._profiles}
        self._funds |= {exchange.asset(profile.instrument.quote): QUOTE_FUNDS * 10**DECIMALS for profile in self._profiles}
        self._refill(commands, time)
        self._crowds = [_Crowd(profile, exchange.book(profile.instrument.name), self.accounts, self._rate, self._random) for profile in self._profiles]
        for crowd in self._crowds:
            for _ in range(QUOTES):
                crowd.place(commands, time)

    def next_time(self) -> int:
        """When the next step is due, in ns since the start."""
        return self._time

    def step(self, commands: Commands, time: int) -> None:
        """Append one command for one of the instruments, and now and then those that make the accounts' funds good."""
        self._steps += 1
        self._time += self._random.randrange(2 * 10**9 // (self._rate * len(self._profiles)) + 1)
        if not self._steps % REFILL_STEPS:
            self._refill(commands, time)
        self._random.choice(self._crowds).step(commands, time)

    def _refill(self, commands: Commands, time: int) -> None:
        for account in self.accounts:
            refill(commands, self._exchange, account, self._funds, time)


class _Quote(NamedTuple):
    account: int
    side: Side
    price: int


class _Crowd:
    """Makers and takers of one book. A quote in the list may have been filled: whoever looks for it in the book forgets it then."""

    def __init__(self, profile: Profile, book: OrderBook, accounts: list[int], rate: int, random: Random) -> None:
        self._profile = profile
        self._book = book
        self._makers, self._taker = accounts[:-1], accounts[-1]
        self._random = random
        self._fair = self._start = profile.price << FAIR_BITS
        self._stride = isqrt(3 * self._start**2 // (rate * DEVIATION**2))
        self._recall = rate * RECALL_SECONDS
        self._quotes: list[_Quote] = []

    def step(self, commands: Commands, time: int) -> None:
        """Let the fair price move, then append one command."""
        self._fair += self._random.randint(-self._stride, self._stride) + (self._start - self._fair) // self._recall
        roll = self._random.randrange(100)
        if roll < TAKES:
            self._take(commands, time)
        elif len(self._quotes) == QUOTES or (self._quotes and roll < TAKES + REVISES):
            self._revise(commands, time)
        else:
            self.place(commands, time)

    def place(self, commands: Commands, time: int) -> None:
        """Append a maker's new order."""
        quote, size = self._draw(self._random.choice(self._makers), Side(self._random.randrange(2)))
        self._quotes.append(quote)
        commands.place(quote.account, self._book.index, quote.side, quote.price, size, time=time)

    def _revise(self, commands: Commands, time: int) -> None:
        """Append what cancels, moves or reduces a maker's order; of two the one further from the fair price, so that the book follows it."""
        fair = self._fair >> FAIR_BITS
        roll = self._random.randrange(100)
        index = max((self._random.randrange(len(self._quotes)) for _ in range(2)), key=lambda at: abs(self._quotes[at].price - fair))
        quote = self._quotes[index]
        order = next((order for order in self._book.queue(quote.side, quote.price) if order.account == quote.account), None)
        if order is None or roll < CANCELS:
            self._quotes[index] = self._quotes[-1]
            self._quotes.pop()
        if order is None:
            self.place(commands, time)
        elif roll < CANCELS:
            commands.cancel(order.account, order.order, time=time)
        elif roll < CANCELS + REDUCES:
            commands.reduce(order.account, order.order, (order.remaining + 1) // 2, time=time)
        else:
            self._quotes[index], size = self._draw(quote.account, quote.side)
            commands.replace(order.account, order.order, self._quotes[index].price, size, time=time)

    def _draw(self, account: int, side: Side) -> tuple[_Quote, int]:
        """A quote and its size: many near the fair price, few and larger ones far from it."""
        random, reach = self._random, self._profile.reach
        distance = 1 + random.randrange(reach) * random.randrange(reach) * random.randrange(reach) // reach**2
        price = (self._fair >> FAIR_BITS) + (distance if side == Side.SELL else -distance)
        size = self._profile.size * (reach + 4 * distance) // reach * random.randint(1, 100) // 50
        return _Quote(account, side, max(price, 1)), max(size, 1)

    def _take(self, commands: Commands, time: int) -> None:
        """Append an aggressor: mostly small ones, immediate or cancel within some ticks of the fair price, or at any price."""
        random = self._random
        side = Side(random.randrange(2))
        size = 1 + self._profile.size * random.randrange(100) * random.randrange(100) // 2_500
        if random.randrange(4):
            price = (self._fair >> FAIR_BITS) + (1 - 2 * side) * random.randrange(self._profile.reach // 8)
            commands.place(self._taker, self._book.index, side, max(price, 1), size, time_in_force=TimeInForce.IOC, time=time)
        else:
            commands.place(self._taker, self._book.index, side, 0, size, type=OrderType.MARKET, time_in_force=TimeInForce.IOC, time=time)
