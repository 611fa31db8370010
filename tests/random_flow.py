"""Random commands from a seed, good and bad, for the engine and its oracle."""

import random
from decimal import Decimal

from engine import MONEY_MAX, CommandKind, Commands, Event, EventKind, Exchange, Instrument, OrderType, Rejected, Side, TimeInForce
from tests.oracle_exchange import ALL_INSTRUMENTS, NaiveExchange
from tests.oracle_model import POST_ONLY, Command

ASSETS = {"BTC": 8, "ETH": 4, "USD": 6}
INSTRUMENTS = (
    Instrument("BTC-USD", "BTC", "USD", Decimal("0.5"), Decimal("0.001"), size_max=MONEY_MAX, maker_fee=1_234, taker_fee=56_789),
    Instrument("ETH-USD", "ETH", "USD", Decimal("0.01"), Decimal("0.01"), maker_fee=7_001, taker_fee=0, price_max=2_000, size_min=2, size_max=30),
    Instrument("ETH-BTC", "ETH", "BTC", Decimal("0.00001"), Decimal("0.01"), price_max=60, size_min=3),
    Instrument("BTC-ETH", "BTC", "ETH", Decimal(1), Decimal("0.0001"), maker_fee=300_000, taker_fee=999_999, price_max=100),
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


def call(target: Exchange | Commands, command: Command) -> int | None:
    """Call the method that the command is for."""
    kind, account, instrument, side, price, size, order, client_id, type, time_in_force, flags, time = command
    match kind:
        case CommandKind.PLACE:
            return target.place(account, instrument, side, price, size, type, time_in_force, bool(flags), client_id, time)
        case CommandKind.CANCEL:
            target.cancel(account, order, client_id, time)
        case CommandKind.REDUCE:
            target.reduce(account, order, size, client_id, time)
        case CommandKind.REPLACE:
            target.replace(account, order, price, size, client_id, time)
        case CommandKind.CANCEL_ALL:
            return target.cancel_all(account, instrument, time)
        case CommandKind.OPEN_ACCOUNT:
            return target.open_account(time)
        case CommandKind.DEPOSIT:
            target.deposit(account, instrument, size, time)
        case CommandKind.WITHDRAW:
            target.withdraw(account, instrument, size, time)
    return None


ANSWERS = {EventKind.ACCEPTED: "order", EventKind.ACCOUNT_OPENED: "account", EventKind.ALL_CANCELLED: "size"}
"""What a method returns: a field of the one event of this kind."""


def submit(exchange: Exchange, command: Command) -> list[Event]:
    """Give the engine one command, by its method if that can carry it; what the method returns or raises must agree with the events."""
    record = Commands()
    call(record, command)
    if bytes(record) != command.packed():
        refused = exchange.execute(command.packed())
        assert refused == (exchange.events[0].kind == EventKind.REJECTED)
        return list(exchange.events)
    result, refusal = None, None
    try:
        result = call(exchange, command)
    except Rejected as rejected:
        refusal = (rejected.reason, rejected.order)
    first = exchange.events[0]
    assert refusal == ((first.reason, first.order) if first.kind == EventKind.REJECTED else None)
    assert result == next((getattr(event, ANSWERS[EventKind(event.kind)]) for event in exchange.events if event.kind in ANSWERS), None)
    assert exchange.events.batches == 1
    return list(exchange.events)


class RandomFlow:
    """The next command, whatever state the oracle is in. Most make sense, so that books are deep and accounts run out of money."""

    def __init__(self, seed: int, oracle: NaiveExchange) -> None:
        self.random = random.Random(seed)
        self.oracle = oracle
        self.orders: list[tuple[int, int]] = [(0, 0)]       # accounts and ids that were ever accepted, the latest ones

    def next(self) -> Command:
        kind = self.random.choices(
            (self.place, self.cancel, self.reduce, self.replace, self.cancel_all, self.open_account, self.deposit, self.withdraw, self.garbage),
            (600, 110, 60, 120, 3, 2 if self.oracle.accounts else 1_000, 50, 25, 20),
        )[0]
        return kind()

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
        away = self.random.choice((1, 2, 4, 4, 8, 40))
        return MIDDLES[instrument] + round(self.random.gauss(-away if side == Side.BUY else away, 1.5 * away))

    def size(self) -> int:
        return self.random.choice(WEIRD) if self.seldom(60) else self.random.choice((1, 2, 3, 4, 5, 8, 10, 25))

    def place(self) -> Command:
        instrument, side = self.random.randrange(len(INSTRUMENTS)), self.random.randrange(2)
        price, flags = self.price(instrument, side), 0
        type = self.random.choices(list(OrderType), (9, 1))[0]
        time_in_force = self.random.choices(list(TimeInForce), (8, 1, 1))[0]
        if type == OrderType.MARKET and not self.seldom(3):
            price = 0
        if type == OrderType.LIMIT and time_in_force == TimeInForce.GTC:
            flags = POST_ONLY * self.seldom(5)
        elif self.seldom(30):
            flags = POST_ONLY
        if self.seldom(80):
            instrument = len(INSTRUMENTS)
        return Command(
            CommandKind.PLACE, self.account(), instrument, side, price, self.size(),
            client_id=self.client_id(), type=type, time_in_force=time_in_force, flags=flags, time=self.random.randrange(1 << 60),
        )

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
        if self.seldom(3):
            return command._replace(price=order.price)
        return command._replace(price=self.price(order.instrument, order.side))

    def cancel_all(self) -> Command:
        return Command(CommandKind.CANCEL_ALL, self.account(), self.random.choice((ALL_INSTRUMENTS, 0, 1, 2, 3, 4)))

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

    def garbage(self) -> Command:
        """A sensible command with some fields of its record made weird; only a buffer can carry it."""
        command = self.random.choice((self.place, self.replace, self.deposit, self.cancel))()
        for name in self.random.sample(Command._fields, self.random.randint(1, 3)):
            bits = {"kind": 8, "account": 32, "instrument": 16, "side": 8, "order": 64, "client_id": 64, "type": 8, "time_in_force": 8, "flags": 8}.get(name)
            value = self.random.choice(WEIRD)
            command = command._replace(**{name: value if bits is None else value % (1 << bits)})
        return command
