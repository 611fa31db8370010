"""States of an exchange that make one command slow, each with that command, for a number of orders. What is left open is drawn at random, to be searched."""

from collections.abc import Callable
from decimal import Decimal
from random import Random

from engine import Commands, Exchange, Instrument, OrderType, Phase, SelfTrade, Side, TimeInForce

MAKER, TAKER = 0, 1
MIDDLE = 1 << 32
MONEY = 1 << 61
SECOND = 10**9


class State:
    """An exchange of one book, or more; `does` is the command that is measured, when all is ready."""

    def __init__(self, random: Random, orders: int, instruments: int = 1, **terms: int) -> None:
        self.random = random
        self.size = orders
        self.exchange = Exchange(2 * orders + 1_024, key=random.getrandbits(128))
        for asset in ("BTC", "USD"):
            self.exchange.add_asset(asset, 0)
        for number in range(instruments):
            self.exchange.add_instrument(Instrument(f"BTC{number}-USD", "BTC", "USD", Decimal(1), Decimal(1), price_max=1 << 40, **terms))
        for account in (MAKER, TAKER):
            self.exchange.open_account()
            self.exchange.deposit(account, 0, MONEY)
            self.exchange.deposit(account, 1, MONEY)
        self.commands = Commands()
        self.does = Commands()
        self.drawn: dict[str, int | str] = {}

    def draw(self, name: str, values: tuple[int, ...]) -> int:
        """One of the values of a parameter, which is told with the result."""
        self.drawn[name] = value = self.random.choice(values)
        return value

    def ready(self) -> "State":
        """Run what was prepared."""
        refused = self.exchange.execute(self.commands)
        assert refused == 0, f"{refused} commands of the preparation were refused: {self.drawn}"
        self.commands.clear()
        return self

    def at(self, price: int) -> None:
        """Let there be a trade at a price."""
        self.commands.place(MAKER, 0, Side.SELL, price, 1)
        self.commands.place(TAKER, 0, Side.BUY, price, 1)

    def asks(self, count: int, size: int = 1, account: int = MAKER, display: int = 0) -> None:
        """Asks from the middle up, spread over levels that lie as far from each other as is drawn, in no order."""
        levels, step = self.draw("levels", (1, 100, count)), self.draw("step", (1, 64, 4_099))
        for number in self.random.sample(range(count), count):
            self.commands.place(account, 0, Side.SELL, MIDDLE + number % levels * step, size, display=display)


# Matching


def sweep(state: State) -> None:
    """A limit order meets as many as it may."""
    state.asks(state.size)
    state.does.place(TAKER, 0, Side.BUY, 1 << 38, min(state.size, 100_000))


def icebergs(state: State) -> None:
    """It meets icebergs, part for part."""
    parts = state.draw("parts", (2, 30, 1_000))
    state.asks(max(1, state.size // parts), parts, display=1)
    state.does.place(TAKER, 0, Side.BUY, 1 << 38, min(state.size, 50_000))


def own_orders(state: State) -> None:
    """It meets own orders."""
    mode = SelfTrade(state.draw("mode", (SelfTrade.CANCEL_OLDEST, SelfTrade.DECREMENT)))
    state.asks(state.size - 1, account=TAKER)
    state.commands.place(MAKER, 0, Side.SELL, MIDDLE << 1, 1)
    state.does.place(TAKER, 0, Side.BUY, 1 << 38, 1 if mode == SelfTrade.CANCEL_OLDEST else min(state.size, 100_000), self_trade=mode)


def pairs(state: State) -> None:
    """Each order that it meets has a partner, which is cancelled."""
    count = min(state.size // 2, 50_000)
    state.asks(count)
    state.ready()
    for order in state.exchange.orders(MAKER):
        state.commands.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.STOP, stop=1 + order.order % MIDDLE, linked=order.order)
    state.does.place(TAKER, 0, Side.BUY, 1 << 38, count)


# Checks that end in a refusal


def all_or_nothing(state: State) -> None:
    """More lots than there are, all or none."""
    state.asks(state.size)
    state.does.place(TAKER, 0, Side.BUY, 1 << 38, state.size + 1, time_in_force=TimeInForce.FOK)


def for_money(state: State) -> None:
    """A market order of much money."""
    state.asks(state.size)
    state.does.place(TAKER, 0, Side.BUY, 0, MONEY, type=OrderType.MARKET, quote=True)


def past_own_orders(state: State) -> None:
    """A market order whose cost is asked behind all of its own orders."""
    mode = SelfTrade(state.draw("mode", (SelfTrade.CANCEL_OLDEST, SelfTrade.DECREMENT)))
    state.asks(state.size - 1, account=TAKER)
    state.commands.place(MAKER, 0, Side.SELL, MIDDLE << 1, 1)
    state.does.place(TAKER, 0, Side.BUY, 0, 1, type=OrderType.MARKET, self_trade=mode)


# Stops


def stops(state: State) -> int:
    return min(state.size, 50_000)


def cascade(state: State) -> None:
    """Each stop trades at the price that triggers the next one."""
    count = stops(state) - 2
    state.at(MIDDLE)
    for number in range(count + 1):
        state.commands.place(MAKER, 0, Side.BUY, MIDDLE - 1 - number, 1)
    for number in range(count):
        state.commands.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.STOP, stop=MIDDLE - 1 - number)
    state.does.place(TAKER, 0, Side.SELL, MIDDLE - 1, 1)


def cascade_that_others_trail(state: State) -> None:
    """Each stop of a cascade moves the triggers of all that trail."""
    count = stops(state) // 2 - 2
    state.at(MIDDLE)
    for number in range(count + 1):
        state.commands.place(MAKER, 0, Side.BUY, MIDDLE - 1 - number, 1)
    distances = state.draw("distances", (1, 100, count))
    for number in range(count):
        state.commands.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.STOP, stop=MIDDLE - 1 - number)
        state.commands.place(MAKER, 0, Side.BUY, 0, 1, type=OrderType.TRAILING_STOP, stop=MIDDLE // 2 + number % distances)
    state.does.place(TAKER, 0, Side.SELL, MIDDLE - 1, 1)


def one_trigger(state: State) -> None:
    """All stops have one trigger, which they came to in no order, and all meet somebody."""
    count = stops(state)
    state.at(MIDDLE)
    for number in state.random.sample(range(count), count):
        state.commands.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.TRAILING_STOP, stop=1 + number)
    state.at(MIDDLE << 4)
    for _ in range(count + 1):
        state.commands.place(MAKER, 0, Side.BUY, 1 << 20, 1)
    state.does.place(TAKER, 0, Side.SELL, 1 << 20, 1)


def trailing(state: State) -> None:
    """A trade moves all triggers."""
    distances = state.draw("distances", (1, 1_000, stops(state)))
    state.at(MIDDLE)
    for number in range(stops(state)):
        state.commands.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.TRAILING_STOP, stop=1 + number % distances)
    state.commands.place(MAKER, 0, Side.SELL, MIDDLE + 1, 1)
    state.does.place(TAKER, 0, Side.BUY, MIDDLE + 1, 1)


def stops_that_want_too_much(state: State) -> None:
    """All stops are triggered, and each would meet more orders than it may."""
    count = min(state.size // 2, 50_000)
    for _ in range(state.size - count):
        state.commands.place(MAKER, 0, Side.SELL, MIDDLE + 2, 1)
    state.at(MIDDLE)
    for _ in range(count):
        state.commands.place(TAKER, 0, Side.BUY, 0, 1 << 30, type=OrderType.STOP, stop=MIDDLE + 1)
    state.commands.place(MAKER, 0, Side.SELL, MIDDLE + 1, 1)
    state.does.place(TAKER, 0, Side.BUY, MIDDLE + 1, 1)


def stops_that_cannot_pay(state: State) -> None:
    """All stops are triggered, and what each would meet is just too dear."""
    count = min(state.size // 2, 50_000)
    makers = min(state.size - count, 100_000)
    for _ in range(makers):
        state.commands.place(MAKER, 0, Side.SELL, MIDDLE + 2, 1)
    state.at(MIDDLE)
    for _ in range(count):
        state.commands.place(TAKER, 0, Side.BUY, 0, makers, type=OrderType.STOP, stop=MIDDLE + 1)
    state.commands.place(MAKER, 0, Side.SELL, MIDDLE + 1, 1)
    state.ready()
    state.commands.withdraw(TAKER, 1, state.exchange.balance(TAKER, 1)[0] - (MIDDLE + 1) - (makers - 1) * (MIDDLE + 2))
    state.does.place(TAKER, 0, Side.BUY, MIDDLE + 1, 1)


# Ends


def cancel_all(state: State) -> None:
    """One account's orders are cancelled, all of them."""
    state.asks(state.size)
    state.does.cancel_all(MAKER)


def expiry(state: State) -> None:
    """All orders expire at one time."""
    levels = state.draw("levels", (1, 100, state.size))
    for number in state.random.sample(range(state.size), state.size):
        state.commands.place(MAKER, 0, Side.SELL, MIDDLE + number % levels, 1, time_in_force=TimeInForce.GTD, expires=SECOND + number)
    state.does.advance(2 * SECOND + state.size)


def day_end(state: State) -> None:
    """All orders of the day end, with their pairs."""
    count = min(state.size // 2, 50_000)
    for number in range(count):
        state.commands.place(MAKER, 0, Side.SELL, MIDDLE + number, 1, time_in_force=TimeInForce.DAY)
    state.ready()
    for order in state.exchange.orders(MAKER):
        state.commands.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.STOP, stop=1 + order.order % MIDDLE, linked=order.order, time_in_force=TimeInForce.DAY)
    state.does.advance(2 * 24 * 60 * 60 * SECOND)


# Auctions


def to_auction(state: State) -> None:
    """A full book is taken away."""
    state.asks(state.size)
    state.does.set_phase(0, Phase.AUCTION)


def uncrossing(state: State) -> None:
    """Everything that was collected trades, icebergs part for part."""
    parts = state.draw("parts", (1, 30, 1_000))
    levels = state.draw("levels", (1, 100, state.size))
    state.commands.set_phase(0, Phase.AUCTION)
    for number in range(max(1, state.size // parts // 2)):
        for side in Side:
            price = MIDDLE + (number % levels if side == Side.BUY else -(number % levels))
            state.commands.place(side, 0, side, price, parts, display=1 if parts > 1 else 0)
    state.does.set_phase(0, Phase.TRADING)


def prevented_uncrossing(state: State) -> None:
    """An account's bids meet its own ask, one after the other."""
    mode = SelfTrade(state.draw("mode", (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH, SelfTrade.DECREMENT)))
    state.commands.set_account(MAKER, self_trade=mode)
    state.commands.set_phase(0, Phase.AUCTION)
    state.commands.place(MAKER, 0, Side.SELL, 1, state.draw("size", (1, state.size)))
    for number in range(state.size - 1):
        state.commands.place(MAKER, 0, Side.BUY, 10 + number, 1)
    state.does.set_phase(0, Phase.TRADING)


# Names, and tables that grow


def client_ids(state: State) -> None:
    """The one place that makes the table of client ids grow, whose ids were chosen to fall together without a key."""
    shift = state.draw("bits", (0, 20, 40))
    for number in range(1 << max(2, state.size.bit_length() - 2)):
        state.commands.place(MAKER, 0, Side.BUY, 1 + number % 100, 1, client_id=1 + number << shift)
    state.does.place(MAKER, 0, Side.BUY, 1, 1, client_id=(1 << 62) + 1)


def levels(state: State) -> None:
    """The one place that makes the table of levels grow, as far from all others as can be."""
    for number in range((1 << max(6, state.size.bit_length() - 1)) - 1):
        state.commands.place(MAKER, 0, Side.BUY, 1 + number, 1)
    state.does.place(MAKER, 0, Side.BUY, 1 << 40, 1)


def accounts(state: State) -> None:
    """The one account that makes the table of accounts grow."""
    for _ in range((1 << max(4, state.size.bit_length() - 1)) - 2):
        state.commands.open_account()
    state.does.open_account()


def cancel_of_one(state: State) -> None:
    """A cancel, among as many orders at one price."""
    state.asks(state.size)
    state.ready()
    state.does.cancel(MAKER, state.random.choice(state.exchange.orders(MAKER)).order)


ADVERSARIES: dict[str, Callable[[State], None]] = {
    adversary.__name__: adversary
    for adversary in (
        sweep, icebergs, own_orders, pairs, all_or_nothing, for_money, past_own_orders, cascade, cascade_that_others_trail, one_trigger, trailing,
        stops_that_want_too_much, stops_that_cannot_pay, cancel_all, expiry, day_end, to_auction, uncrossing, prevented_uncrossing, client_ids, levels,
        accounts, cancel_of_one,
    )
}
