"""Random commands from a seed, good and bad, for the engine and its oracle."""

import random
from collections.abc import Callable
from decimal import Decimal

from engine import MONEY_MAX, CommandKind, Commands, Event, EventKind, Exchange, Instrument, OrderType, Phase, Rejected, SelfTrade, Side, TimeInForce
from tests.engine.oracle_checks import STOPS
from tests.engine.oracle_exchange import NaiveExchange
from tests.engine.oracle_model import ALL_ACCOUNTS, ALL_INSTRUMENTS, DAY_NS, POST_ONLY, PRICED, QUOTE, SLIDE, TAKE_PROFITS, Command

ASSETS = {"BTC": 8, "ETH": 4, "USD": 6}
INSTRUMENTS = (
    Instrument(
        "BTC-USD", "BTC", "USD", Decimal("0.5"), Decimal("0.001"), size_max=MONEY_MAX, maker_fee=1_234, taker_fee=56_789, hold_fee=60_000,
        day_end=7, parts_max=9, fills_max=7,
    ),
    Instrument(
        "ETH-USD", "ETH", "USD", Decimal("0.01"), Decimal("0.01"), maker_fee=7_001, taker_fee=0, price_max=2_000, size_min=2, size_max=30,
        band=300_000, stops_max=4,
    ),
    Instrument("ETH-BTC", "ETH", "BTC", Decimal("0.00001"), Decimal("0.01"), price_max=60, size_min=3, orders_max=40),
    Instrument(
        "BTC-ETH", "BTC", "ETH", Decimal(1), Decimal("0.0001"), maker_fee=300_000, taker_fee=999_999, price_max=100, notional_max=1_000_000, band=900_000,
        market_notional=0,
    ),
)
MIDDLES = (1_000, 50, 30, 50)
WEALTH = (4_000_000, 20_000, 60_000_000)     # a usual deposit of each asset, in units

ORDERS_MAX = 100
ACCOUNTS_MAX = 6
BOUNDS = ((8, 12), (0, 0), (1, 1), (40, 100))
"""How many tombstones a book and how many client ids of done orders the exchange remembers, in turn for each seed."""

WEIRD = (0, 1, -1, 7, 255, 1 << 24, (1 << 24) + 1, 1 << 31, 1 << 48, MONEY_MAX - 1, MONEY_MAX, (1 << 63) - 1, -(1 << 63))


def new_exchange(seed: int) -> Exchange:
    tombstones, client_ids_max = BOUNDS[seed % len(BOUNDS)]
    exchange = Exchange(ORDERS_MAX, ACCOUNTS_MAX, tombstones, client_ids_max)
    for name, decimals in ASSETS.items():
        exchange.add_asset(name, decimals)
    for instrument in INSTRUMENTS:
        exchange.add_instrument(instrument)
    return exchange


def new_oracle(seed: int) -> NaiveExchange:
    _, client_ids_max = BOUNDS[seed % len(BOUNDS)]
    oracle = NaiveExchange(ORDERS_MAX, ACCOUNTS_MAX, client_ids_max)
    for name, decimals in ASSETS.items():
        oracle.add_asset(name, decimals)
    for instrument in INSTRUMENTS:
        oracle.add_instrument(instrument)
    return oracle


def call(target: Exchange | Commands, c: Command) -> int | None:
    """Call the method that the command is for."""
    match c.kind:
        case CommandKind.PLACE:
            return target.place(
                c.account, c.instrument, c.side, c.price, c.size, c.type, c.time_in_force, bool(c.flags & POST_ONLY), c.client_id, c.time,
                slide=bool(c.flags & SLIDE), quote=bool(c.flags & QUOTE), stop=c.stop, display=c.display, min_size=c.min_size,
                expires=c.expires, linked=c.order, self_trade=c.self_trade,
            )
        case CommandKind.CANCEL:
            target.cancel(c.account, c.order, c.client_id, c.time)
        case CommandKind.REDUCE:
            target.reduce(c.account, c.order, c.size, c.client_id, c.time)
        case CommandKind.REPLACE:
            target.replace(c.account, c.order, c.price, c.size, c.client_id, c.time, c.stop)
        case CommandKind.CANCEL_ALL:
            return target.cancel_all(c.account, c.instrument, c.time, c.side)
        case CommandKind.OPEN_ACCOUNT:
            return target.open_account(c.time)
        case CommandKind.DEPOSIT:
            target.deposit(c.account, c.instrument, c.size, c.time)
        case CommandKind.WITHDRAW:
            target.withdraw(c.account, c.instrument, c.size, c.time)
        case CommandKind.ADVANCE:
            target.advance(c.time)
        case CommandKind.SET_ACCOUNT:
            target.set_account(c.account, c.order, c.type, c.self_trade, c.client_id, c.size, c.price, c.time)
        case CommandKind.SET_FEES:
            target.set_fees(c.instrument, c.type, c.price, c.size, c.time)
        case CommandKind.SET_REFERENCE:
            target.set_reference(c.instrument, c.price, c.time)
        case CommandKind.SET_PHASE:
            target.set_phase(c.instrument, c.type, c.time)
        case CommandKind.MASS_CANCEL:
            return target.mass_cancel(c.client_id, c.account, c.instrument, c.time)
        case CommandKind.FREEZE:
            target.freeze(c.account, bool(c.type), c.time)
        case CommandKind.SET_LIMITS:
            target.set_limits(c.account, c.client_id, c.size, c.price, c.time)
        case CommandKind.SET_TIER:
            target.set_tier(c.account, c.type, c.time)
        case CommandKind.PAY_FEES:
            target.pay_fees(c.account, c.instrument, c.size, c.time)
        case CommandKind.DELIST:
            target.delist(c.instrument, bool(c.type), c.time)
        case CommandKind.SET_BAND:
            target.set_band(c.instrument, c.price, c.time)
    return None


ANSWERS = {EventKind.ACCEPTED: "order", EventKind.ACCOUNT_OPENED: "account", EventKind.ALL_CANCELLED: "orders"}
"""What a method returns: a field of the one event of this kind."""


def submit(exchange: Exchange, command: Command) -> list[Event]:
    """Give the engine one command, by its method if that can carry it; what the method returns or raises must agree with the events."""
    record = Commands()
    call(record, command)
    if bytes(record) != command.packed():
        refused = exchange.execute(command.packed())
        assert refused == (exchange.events.outcome(0).kind == EventKind.REJECTED)
        return list(exchange.events)
    result, refusal = None, None
    try:
        result = call(exchange, command)
    except Rejected as rejected:
        refusal = (rejected.reason, rejected.order)
    outcome = exchange.events.outcome(0)
    assert refusal == ((outcome.reason, outcome.order) if outcome.kind == EventKind.REJECTED else None)
    assert result == next((getattr(event, ANSWERS[EventKind(event.kind)]) for event in exchange.events if event.kind in ANSWERS), None)
    assert exchange.events.batches == 1
    return list(exchange.events)


class RandomFlow:
    """The next command, whatever state the oracle is in. Most make sense, so that books are deep and accounts run out of money."""

    def __init__(self, seed: int, oracle: NaiveExchange) -> None:
        self.random = random.Random(seed)
        self.oracle = oracle
        self.orders: list[tuple[int, int]] = [(0, 0)]       # accounts and ids that were ever accepted, the latest ones
        self.now = 0
        self.weights: dict[Callable[[], Command], int] = {
            self.place: 700, self.cancel: 110, self.reduce: 60, self.replace: 120, self.cancel_all: 4, self.deposit: 50, self.withdraw: 25,
            self.advance: 8, self.set_account: 8, self.set_fees: 4, self.set_reference: 4, self.set_phase: 6, self.garbage: 20,
            self.mass_cancel: 1, self.freeze: 2, self.set_limits: 3, self.set_tier: 3, self.pay_fees: 6, self.delist: 1, self.set_band: 4,
        }

    def next(self) -> Command:
        self.now += self.random.randrange(10**9)
        if self.seldom(1_500):
            self.now += self.random.randrange(DAY_NS)
        stopped = [index for index, terms in enumerate(self.oracle.terms) if terms.phase != Phase.TRADING]
        frozen = [number for number, account in enumerate(self.oracle.account) if account.frozen]
        if frozen and self.seldom(10):
            return Command(CommandKind.FREEZE, self.random.choice(frozen), time=self.now)
        delisted = [index for index in stopped if self.oracle.terms[index].phase == Phase.DELISTED]
        if delisted and self.seldom(10):
            whose = Command(CommandKind.MASS_CANCEL, ALL_ACCOUNTS, self.random.choice(delisted), client_id=20, time=self.now)
            return whose if self.seldom(2) else Command(CommandKind.DELIST, instrument=self.random.choice(delisted), time=self.now)
        if stopped and self.seldom(40):
            return Command(CommandKind.SET_PHASE, instrument=self.random.choice(stopped), type=Phase.TRADING, time=self.now)
        accounts = {self.open_account: 2 if self.oracle.accounts else 2_000}
        [kind] = self.random.choices(list(self.weights | accounts), list((self.weights | accounts).values()))
        return kind()._replace(time=self.now - 10**12 * self.seldom(20))

    def saw(self, events: list[Event]) -> None:
        """Learn the order ids."""
        self.orders += [(event.account, event.order) for event in events if event.kind == EventKind.ACCEPTED]
        del self.orders[:-400]

    def seldom(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def account(self) -> int:
        return self.random.randrange(max(1, self.oracle.accounts + self.seldom(50)))

    def client_id(self) -> int:
        return self.random.choice((0, 0, 0, self.random.randint(1, 60)))

    def price(self, instrument: int, side: int) -> int:
        if self.seldom(60):
            return self.random.choice(WEIRD)
        if self.oracle.terms[instrument].collecting:
            return MIDDLES[instrument] + self.random.randint(-3, 3)
        away = self.random.choice((1, 2, 4, 4, 8, 40))
        return MIDDLES[instrument] + round(self.random.gauss(-away if side == Side.BUY else away, 1.5 * away))

    def size(self) -> int:
        return self.random.choice(WEIRD) if self.seldom(60) else self.random.choice((1, 2, 3, 4, 5, 8, 10, 25))

    # Orders

    def place(self) -> Command:
        instrument, side = self.random.randrange(len(INSTRUMENTS)), self.random.randrange(2)
        [make] = self.random.choices((self.limit, self.market, self.stop), (10, 2, 2))
        command = make(Command(
            CommandKind.PLACE, self.account(), instrument, side, self.price(instrument, side), self.size(), client_id=self.client_id(),
        ))
        if self.seldom(6):
            command = command._replace(self_trade=self.random.choice(list(SelfTrade)))
        if self.seldom(80):
            command = command._replace(instrument=len(INSTRUMENTS))
        if self.seldom(100):    # options that do not go together
            name = self.random.choice(("display", "min_size", "stop", "expires", "order", "flags", "time_in_force", "type"))
            command = command._replace(**{name: self.random.randrange(1, 6)})
        return command

    def limit(self, command: Command) -> Command:
        [time_in_force] = self.random.choices(list(TimeInForce), (12, 1, 1, 1, 1))
        command = self.until(command._replace(time_in_force=time_in_force))
        if time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            return command._replace(min_size=self.random.randint(1, 8) if self.seldom(3) else 0)
        if self.seldom(5):
            return command._replace(flags=self.random.choice((POST_ONLY, POST_ONLY | SLIDE)))
        if self.seldom(4):
            return command._replace(size=self.random.randint(8, 30), display=self.random.randint(1, 9))
        if self.seldom(15):
            return command._replace(min_size=self.random.randint(-1, 8))
        return self.link(command)

    def market(self, command: Command) -> Command:
        command = command._replace(
            type=OrderType.MARKET, time_in_force=self.random.choice((TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)),
            price=command.price if self.seldom(3) else 0,
        )
        if self.seldom(3) and command.instrument < len(INSTRUMENTS) and command.time_in_force != TimeInForce.FOK:
            money = self.oracle.terms[command.instrument].notional(MIDDLES[command.instrument], command.size)
            money = money * self.random.randint(80, 120) // 100 + self.random.randrange(9)
            return command._replace(flags=QUOTE, size=max(-1, min(money, (1 << 63) - 1)))
        return command._replace(min_size=self.random.randint(1, 9) if self.seldom(6) else 0)

    def stop(self, command: Command) -> Command:
        last = self.oracle.terms[command.instrument].last or MIDDLES[command.instrument]
        type = self.random.choice(STOPS)
        away = self.random.choice((-2, 0, 1, 1, 2, 3, 5, 8))
        rises = (command.side == Side.BUY) != (type in TAKE_PROFITS)
        stop = away if type == OrderType.TRAILING_STOP else last + (away if rises else -away)
        price = stop + self.random.randint(-2, 4) * (1 if command.side == Side.BUY else -1)
        if type == OrderType.TRAILING_STOP or (type not in PRICED and not self.seldom(4)):
            price = 0
        time_in_force = self.random.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY))
        return self.link(self.until(command._replace(type=type, stop=stop, price=price, time_in_force=time_in_force)))

    def until(self, command: Command) -> Command:
        if command.time_in_force != TimeInForce.GTD:
            return command
        return command._replace(expires=self.now + self.random.choice((-1, 0, 1, 10**9, 10**11, 10**12, 10**13)))

    def link(self, command: Command) -> Command:
        """Make a pair with an open order, now and then."""
        mine = [
            order for order in self.oracle.open.values()
            if order.account == command.account and order.instrument == command.instrument and order.side == command.side
        ]
        if not self.seldom(3) or not mine:
            return command
        return command._replace(order=self.random.choice(mine).order if not self.seldom(20) else self.random.choice(self.orders)[1])

    def named(self, kind: CommandKind, price: int = 0, size: int = 0) -> Command:
        """A command for an order that is open, most of the time."""
        mine = [(order.account, order.order) for order in self.oracle.open.values()]
        account, order = self.random.choice(self.orders if self.seldom(10) or not mine else mine)
        client_id = self.client_id()
        if order in self.oracle.open and self.oracle.open[order].client_id and self.seldom(2):
            order, client_id = 0, self.oracle.open[order].client_id
        if self.seldom(20):
            account = self.account()
        return Command(kind, account, price=price, size=size, order=order, client_id=client_id)

    def cancel(self) -> Command:
        return self.named(CommandKind.CANCEL)

    def reduce(self) -> Command:
        return self.named(CommandKind.REDUCE, size=self.size())

    def replace(self) -> Command:
        command = self.named(CommandKind.REPLACE, size=self.size())
        order = self.oracle.open.get(command.order)
        if order is None:
            return command._replace(price=self.price(0, 0))
        if (order.waits and self.seldom(2)) or self.seldom(40):
            command = command._replace(stop=(order.stop or 3) + self.random.randint(-4, 4))
        if self.seldom(3) or order.waits:
            return command._replace(price=order.price, size=max(1, order.remaining - self.random.randint(-2, 5)))
        return command._replace(price=self.price(order.instrument, order.side))

    def cancel_all(self) -> Command:
        return Command(CommandKind.CANCEL_ALL, self.account(), self.random.choice((ALL_INSTRUMENTS, 0, 1, 2, 3, 4)), side=self.random.choice((0, 1, 2, 2, 3)))

    # Accounts, instruments and time

    def open_account(self) -> Command:
        return Command(CommandKind.OPEN_ACCOUNT)

    def deposit(self) -> Command:
        asset = self.random.randrange(len(ASSETS) + self.seldom(30))
        amount = self.random.choice((0, -1, MONEY_MAX, -(1 << 63))) if self.seldom(30) else self.random.randint(1, WEALTH[asset % len(ASSETS)])
        return Command(CommandKind.DEPOSIT, self.account(), asset, size=amount)

    def withdraw(self) -> Command:
        command = self.deposit()._replace(kind=CommandKind.WITHDRAW)
        available = self.oracle.balance(command.account, command.instrument)[0]
        return command._replace(size=self.random.choice((command.size, available, available + 1, available // 3)))

    def advance(self) -> Command:
        return Command(CommandKind.ADVANCE)

    def set_account(self) -> Command:
        limits = {"client_id": 25, "size": 20, "price": 5_000_000}
        some = {name: value for name, value in limits.items() if self.seldom(3)}
        return Command(
            CommandKind.SET_ACCOUNT, self.account(), order=self.random.choice((0, 0, 1, 1, 2, 1 << 40 if self.seldom(9) else 0)),
            type=self.random.choice((0, 1, 2, 7, 8 if self.seldom(9) else 0)), self_trade=self.random.choice(list(SelfTrade)), **some,
        )

    def set_limits(self) -> Command:
        return self.set_account()._replace(kind=CommandKind.SET_LIMITS, order=0, type=0, self_trade=0)

    def set_tier(self) -> Command:
        return Command(CommandKind.SET_TIER, self.account(), type=self.random.choice((0, 1, 2, 7, 8)))

    def freeze(self) -> Command:
        return Command(CommandKind.FREEZE, self.account(), type=self.random.choice((0, 1, 1)))

    def pay_fees(self) -> Command:
        asset = self.random.randrange(len(ASSETS) + self.seldom(30))
        collected = self.oracle.fees[asset % len(ASSETS)]
        return Command(CommandKind.PAY_FEES, self.account(), asset, size=self.random.choice((collected // 3, collected, collected + 1, 0)))

    def mass_cancel(self) -> Command:
        one = self.random.randrange(len(INSTRUMENTS) + 1)
        whose = ((self.account(), ALL_INSTRUMENTS), (ALL_ACCOUNTS, one), (ALL_ACCOUNTS, ALL_INSTRUMENTS), (self.account(), 0))
        return Command(CommandKind.MASS_CANCEL, *self.random.choice(whose), client_id=20 if self.seldom(60) else self.random.choice((0, 1, 2, 3)))

    def set_fees(self) -> Command:
        instrument = self.random.randrange(len(INSTRUMENTS) + self.seldom(9))
        most = self.oracle.terms[instrument % len(INSTRUMENTS)].hold_fee
        maker, taker = (self.random.randint(0, most + self.seldom(5)) for _ in range(2))
        if self.seldom(2):
            maker = -min(self.random.randint(0, 2 * taker), most + self.seldom(5))
        return Command(CommandKind.SET_FEES, instrument=instrument, type=self.random.choice((0, 1, 2, 7, 9)), price=maker, size=taker)

    def set_reference(self) -> Command:
        instrument = self.random.randrange(len(INSTRUMENTS) + self.seldom(9))
        price = self.random.choice((0, 0, MIDDLES[instrument % len(INSTRUMENTS)] + self.random.randint(-5, 5), -1 if self.seldom(5) else 1 << 40))
        return Command(CommandKind.SET_REFERENCE, instrument=instrument, price=price)

    def set_phase(self) -> Command:
        instrument = self.random.randrange(len(INSTRUMENTS) + self.seldom(9))
        return Command(CommandKind.SET_PHASE, instrument=instrument, type=self.random.choice((1, 2, 2, 2, 3 if self.seldom(5) else 2)))

    def delist(self) -> Command:
        instrument = self.random.randrange(len(INSTRUMENTS) + self.seldom(9))
        return Command(CommandKind.DELIST, instrument=instrument, type=self.random.choice((0, 1, 1, 2 if self.seldom(5) else 1)))

    def set_band(self) -> Command:
        instrument = self.random.randrange(len(INSTRUMENTS) + self.seldom(9))
        usual = INSTRUMENTS[instrument % len(INSTRUMENTS)].band
        return Command(CommandKind.SET_BAND, instrument=instrument, price=self.random.choice((0, usual, usual, usual, 250_000, 999_999, -1, 10**6)))

    def garbage(self) -> Command:
        """A sensible command with some fields of its record made weird; only a buffer can carry it."""
        command = self.random.choice((self.place, self.replace, self.deposit, self.cancel, self.set_account, self.set_fees))()
        fields = [name for name in Command._fields if name != "time"]
        for name in self.random.sample(fields, self.random.randint(1, 3)):
            value = self.random.choice(WEIRD)
            command = command._replace(**{name: value if name not in BITS else value % (1 << BITS[name])})
        return command


BITS = {
    "kind": 8, "account": 32, "instrument": 16, "side": 8, "order": 64, "client_id": 64, "type": 8, "time_in_force": 8, "flags": 8, "self_trade": 8,
}
"""The width of the fields of a record that are not 64 bits with a sign."""
