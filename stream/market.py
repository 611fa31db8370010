"""A market: the exchange, what is told of it, and everybody who is connected. Takes the time as an argument; touches no socket.

A tick runs the commands that have gathered as one group, answers them, and sends what is due: one write for each client.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import version

from engine import Commands, Event, EventKind, Exchange, Instrument, OrderType, SelfTrade, Side, TimeInForce
from stream.admin import Administration
from stream.auth import Authenticator
from stream.channels import BOOK, ChannelName
from stream.codes import ErrorCode
from stream.config import Config, ConfigError
from stream.conflation import MILLISECOND, NEVER
from stream.delivery import Traffic
from stream.feed import PHASES, Feed, Point
from stream.fields import Message
from stream.histogram import Histogram
from stream.hub import Hub, Refused
from stream.keys import Key
from stream.limits import Limits
from stream.load import Load
from stream.market_face import OrderRequest
from stream.messages import AdminRequest, Cancel, InstrumentTerms, Leaving, Pacing, Place, Reduce, Replace
from stream.refusals import explain
from stream.safeguards import Deadlines
from stream.scale import from_text
from stream.self_audit import SelfAudit
from stream.session import Session
from stream.sources import Source
from stream.wire import Codec, Shared

WIRE_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
WIRE_TYPES = {type.name.lower(): type for type in OrderType}
WIRE_TIMES_IN_FORCE = {time.name.lower(): time for time in TimeInForce}
WIRE_SELF_TRADES = {"account": SelfTrade.ACCOUNT_DEFAULT} | {mode.name.lower(): mode for mode in SelfTrade if mode}
ALL_INSTRUMENTS, BOTH_SIDES = 0xFFFF, 2

Reply = Callable[[Event, list[Event]], None]

HOUSEKEEPINGS_PER_S = 10

SOURCE_STEPS_MAX = 256
"""Steps of a source in one tick, so that one that is behind does not keep the clients waiting."""


class Market:
    """One exchange and its clients. `epoch` names the history that begins here, `now` is in ns since 1970."""

    def __init__(self, config: Config, keys: list[Key], sources: Iterable[Source], now: int) -> None:
        self.config = config
        self.name = f"deltabook/{version('deltabook')}"
        self.authenticator = Authenticator(keys, config)
        self.exchange = Exchange(config.orders_max, config.accounts_max, config.tombstones_max, config.client_ids_max)
        self._sources = list(sources)
        self._source_began = now
        self._list(config.assets, [terms.instrument() for terms in config.instruments])
        for source in self._sources:
            self._list(source.assets, source.instruments)
        for source in self._sources:
            source.open(self.exchange)
        self.feed = Feed(self.exchange, config)
        self.hub = Hub(self.feed, config)
        books = [ChannelName(BOOK, book.instrument.name) for book in self.exchange.books] if config.audit_interval_ms else []
        self.audit = SelfAudit(self.hub, books, config.audit_interval_ms)
        self._epoch = now // 10**6
        self._engine_time = now
        self._commands = Commands()
        self._replies: list[Reply | None] = []
        self._source_commands = Commands()
        self._accounts: dict[str, int] = {}    # by subject
        self._opening: dict[str, list[Callable[[int | None], None]]] = {}    # who waits for a subject's account
        self._deposits = self._parse_deposits()
        self.self_trade = WIRE_SELF_TRADES[config.self_trade]
        self.limits = Limits(config, now)
        self.load = Load(config, now)
        self.deadlines = Deadlines()
        self.sessions: set[Session] = set()
        self._unchecked: list[Session] = []
        self._owed: set[Session] = set()    # frames that did not fit into one write
        self.traffic = Traffic()
        self.lags = Histogram()
        self.ticks = Histogram()
        self.commands_executed = 0
        self.commands_refused = 0
        self.connections_opened = 0

    def _list(self, assets: Mapping[str, int], instruments: Iterable[Instrument]) -> None:
        try:
            for name, decimals in assets.items():
                if self.exchange.assets().get(name, decimals) != decimals:
                    raise ValueError(f"asset {name!r} is listed twice, with different decimals")
                if name not in self.exchange.assets():
                    self.exchange.add_asset(name, decimals)
            for instrument in instruments:
                self.exchange.add_instrument(instrument)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def _parse_deposits(self) -> list[tuple[int, int]]:
        decimals = self.exchange.assets()
        deposits = []
        for asset, amount in self.config.deposit.items():
            if asset in decimals:
                try:
                    deposits.append((self.exchange.asset(asset), from_text(amount, f"1e-{decimals[asset]}")))
                except ValueError as error:
                    raise ConfigError(f"deposit of {asset}: {error}") from error
        return deposits

    # Connections

    def connect(self, codec: Codec, now: int, address: str = "") -> Session:
        """A new connection's session."""
        self.connections_opened += 1
        session = Session(self, codec, self.connections_opened, address, now)
        self.sessions.add(session)
        return session

    def disconnect(self, session: Session, now: int) -> None:
        """The connection is gone."""
        self.sessions.discard(session)
        session.end(now)

    def owes(self, session: Session) -> None:
        """Note that a session is owed frames that did not fit into one write."""
        self._owed.add(session)

    def observe_lag(self, lag: int, now: int) -> None:
        """Take in how late the event loop is, in ns; under load, slow down and tell everybody."""
        self.lags.observe(lag)
        if self.load.observe(lag, now):
            self.hub.pace.floor = self.load.interval_ms * MILLISECOND
            pacing = Shared(Pacing(self.load.interval_ms))
            for session in self.sessions:
                session.push(pacing)

    def keep_house(self, now: int) -> None:
        """Close what has lasted too long, forget what nobody can resume. Called ten times a second, looks at each session once a second or so."""
        if not self._unchecked:
            self._unchecked = list(self.sessions)
            self.authenticator.revocations.forget(now / 10**9)
            self.hub.forget_accounts(now)
            self.limits.forget(now)
        for _ in range(min(len(self._unchecked), len(self.sessions) // HOUSEKEEPINGS_PER_S + 1)):
            self._unchecked.pop().check_time(now)

    def leave(self) -> None:
        """Tell everybody that the server is leaving; each is closed as soon as it has what it was owed."""
        leaving = Shared(Leaving(self.config.return_window_ms))
        for session in self.sessions:
            session.push(leaving)
            session.leave()

    # Commands

    def run(self, append: Callable[[Commands], None], done: Reply | None = None) -> None:
        """Put a command into the next group; then call `done` with its outcome and all its events."""
        append(self._commands)
        self._replies.append(done)

    def account_of(self, subject: str) -> int:
        """A subject's account. Refused if there is none."""
        try:
            return self._accounts[subject]
        except KeyError:
            raise Refused(ErrorCode.UNKNOWN_SUBJECT) from None

    def administer(self, who: str, request: AdminRequest, now: int, say: Callable[[Message], None]) -> None:
        """Carry out what an administrator asks, and say the reply."""
        Administration(self).answer(who, request, now, say)

    def close_revoked(self) -> None:
        """Close the connections whose token has been revoked."""
        for session in list(self.sessions):
            session.check_token()

    def guard(self, session: Session, now: int) -> None:
        """Do what a session that has ended asked for in that case."""
        guard, account = session.guard, session.account
        if guard.scope == "connection":
            for order in guard.orders:
                if self.exchange.order(order):
                    self._commands.cancel(account, order, 0, now)
                    self._replies.append(None)
        elif guard.scope == "session" and not self.limits.account(account, now).connections:
            self.deadlines.set_grace(account, now + guard.grace)

    def open_account(self, subject: str, now: int, opened: Callable[[int | None], None]) -> None:
        """Find a subject's account, or open one; then call `opened` with its number, None if there can be no more."""
        if subject in self._accounts:
            opened(self._accounts[subject])
        elif subject in self._opening:
            self._opening[subject].append(opened)
        else:
            self._opening[subject] = [opened]
            self._commands.open_account(now)
            self._replies.append(lambda outcome, _: self._account_opened(subject, outcome, now))

    def _account_opened(self, subject: str, event: Event, now: int) -> None:
        account = None
        if event.kind == EventKind.ACCOUNT_OPENED:
            account = self._accounts[subject] = event.account
            self._commands.set_account(account, self_trade=self.self_trade, time=now)
            self._replies.append(None)
            for asset, amount in self._deposits:
                self._commands.deposit(account, asset, amount, now)
                self._replies.append(None)
        for opened in self._opening.pop(subject):
            opened(account)

    def submit(self, account: int, request: OrderRequest, now: int, done: Reply) -> None:
        """Put a command into the next group; then call `done` with its outcome and all its events. Refused if the instrument is unknown."""
        commands = self._commands
        if isinstance(request, Place):
            commands.place(
                account, self.index_of(request.instrument), WIRE_SIDES[request.side], request.price, request.size, WIRE_TYPES[request.type],
                WIRE_TIMES_IN_FORCE[request.time_in_force], request.post_only, request.client_id, now, slide=request.slide, quote=request.quote,
                stop=request.stop, display=request.display, min_size=request.min_size, expires=request.expires, linked=request.linked,
                self_trade=WIRE_SELF_TRADES[request.self_trade],
            )
        elif isinstance(request, Cancel):
            commands.cancel(account, request.order, request.client_id, now)
        elif isinstance(request, Reduce):
            commands.reduce(account, request.order, request.by, request.client_id, now)
        elif isinstance(request, Replace):
            commands.replace(account, request.order, request.price, request.size, request.client_id, now, request.stop)
        else:
            index = ALL_INSTRUMENTS if request.instrument is None else self.index_of(request.instrument)
            commands.cancel_all(account, index, now, BOTH_SIDES if request.side is None else WIRE_SIDES[request.side])
        self._replies.append(done)

    def index_of(self, instrument: str) -> int:
        """An instrument's index. Refused if there is none of that name."""
        try:
            return self.exchange.book(instrument).index
        except KeyError:
            raise Refused(ErrorCode.UNKNOWN_INSTRUMENT, f"instrument {instrument!r}: there is none of that name") from None

    def explain(self, request: OrderRequest, event: Event) -> str:
        """Why the engine refused a command, and what was expected."""
        return explain(self.exchange, request, event)

    def waits(self, order: int) -> bool:
        """Whether an order waits for its trigger."""
        record = self.exchange.order(order)
        return record is not None and record.type != OrderType.LIMIT

    def instrument_terms(self) -> list[InstrumentTerms]:
        """The terms of every instrument."""
        decimals = self.exchange.assets()
        return [
            InstrumentTerms(
                each.name, each.base, each.quote, format(each.tick, "f"), format(each.lot, "f"), decimals[each.base], decimals[each.quote],
                each.price_max, each.size_min, each.size_max, *book.rates(), each.notional_max, each.orders_max, each.band,
                each.hold_fee or max(each.maker_fee, each.taker_fee), each.day_end, PHASES[book.phase],
            )
            for book in self.exchange.books for each in (book.instrument,)
        ]

    # Time

    def point(self, now: int) -> Point:
        """Where the history stands."""
        return Point(self._epoch, self.exchange.seq, self._engine_time, now)

    def _execute(self, commands: Commands, now: int) -> None:
        self.commands_executed += len(commands)
        self.commands_refused += self.exchange.execute(commands)
        self._engine_time = now
        self.feed.apply(now)

    def _run_sources(self, now: int) -> None:
        elapsed = now - self._source_began
        for source in self._sources:
            for _ in range(SOURCE_STEPS_MAX):
                if source.next_time() > elapsed:
                    break
                self._source_commands.clear()
                source.step(self._source_commands, now)
                self._execute(self._source_commands, now)

    def _run_commands(self, now: int) -> None:
        """Run what has gathered as one group, and answer. What an answer gives rise to is the next group."""
        while self._replies:
            commands, replies = self._commands, self._replies
            self._commands, self._replies = Commands(), []
            self._execute(commands, now)
            events = self.exchange.events
            answers = [partial(reply, events.outcome(i), events.batch(i)) for i, reply in enumerate(replies) if reply]
            errors = []
            for answer in answers:
                try:
                    answer()
                except Exception as error:    # one client's answer must not cost the others theirs
                    errors.append(error)
            if errors:
                raise ExceptionGroup("answers to commands", errors)

    def _pay(self, now: int) -> None:
        """Send on what did not fit into the last write."""
        owed, self._owed = self._owed, set()
        for session in owed & self.sessions:
            if session.writable:
                session.resume_writing(now)

    def tick(self, now: int) -> int:
        """Run what has gathered, send what is due; when the next tick is due by itself, in ns."""
        self._run_sources(now)
        if 0 < self.exchange.next_expiry <= now:
            self._commands.advance(now)
            self._replies.append(None)
        for account in self.deadlines.due(now):
            self._commands.cancel_all(account, ALL_INSTRUMENTS, now, BOTH_SIDES)
            self._replies.append(None)
        self._run_commands(now)
        self._pay(now)
        at = self.point(now)
        self.audit.tick(at)
        due = self.hub.flush(at)
        if self._owed:
            return now
        sources = (self._source_began + source.next_time() for source in self._sources)
        return min(due, self.deadlines.next, self.exchange.next_expiry or NEVER, *sources)
