"""A market: the venue with the exchange behind it. Takes the time as an argument; touches no socket.

A tick runs the commands that have gathered as one group, answers them, and sends what is due: one write for each client.
"""

import logging
from collections.abc import Callable, Iterable, Sequence

from engine import MONEY_MAX, Event, EventKind, OrderType, Reason, SelfTrade, Side, TimeInForce
from stream.access.keys import Key
from stream.account_history.pages import question_of
from stream.account_history.recorder import Question, RanGroup, Recorder
from stream.commands.directory import AccountOf, Directory, Entry, KeptAccount
from stream.commands.results import KEY_TIME, KEYS_MAX, SENT_MARGIN, Reply
from stream.feed.hub import Refused
from stream.journal.format import Buffer
from stream.journal.snapshots import State
from stream.market.exchange_venue import ExchangeVenue
from stream.market.gathering import CommandPath
from stream.market.history import ALL_INSTRUMENTS, History, begin, with_channels
from stream.market.operations import Operations
from stream.market.order_entry import OrderEntry
from stream.market.scheduled_phases import ScheduledPhases
from stream.market.sequencer import JournalFace, Sequencer
from stream.settings.config import Config, ConfigError
from stream.sources import Source
from stream.venue.announcements import Announcement, Announcements
from stream.venue.reserve import Reserve
from stream.venue.safeguards import Deadlines
from stream.venue.trader import Trader
from stream.venue.venue import Figure, Opened
from stream.venue.venue_face import Guarded
from stream.wire.administration import Operation
from stream.wire.channels import ACCOUNT_SCOPE, ADMIN_SCOPE, MARKET_SCOPE, TRADE_SCOPE
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.history import HistoryRequest
from stream.wire.messages import Cancel, CancelAll, OrderRequest, Place, Reduce, Replace
from stream.wire.scale import from_text, to_text
from stream.wire.times import NEVER

log = logging.getLogger("deltabook")

WIRE_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
WIRE_TYPES = {type.name.lower(): type for type in OrderType}
WIRE_TIMES_IN_FORCE = {time.name.lower(): time for time in TimeInForce}
WIRE_SELF_TRADES = {"account": SelfTrade.ACCOUNT_DEFAULT} | {mode.name.lower(): mode for mode in SelfTrade if mode}
BOTH_SIDES = 2

SOURCE_STEPS_MAX = 256
"""The most steps of a source in one tick, so that a source that is behind does not keep the clients waiting."""


class Market(ExchangeVenue):
    """One exchange and its clients. It begins with `history`, or with a new exchange. `journal` is where it writes. `now` is in ns since 1970."""

    scopes = frozenset({MARKET_SCOPE, ACCOUNT_SCOPE, TRADE_SCOPE, ADMIN_SCOPE})

    def __init__(
        self, config: Config, keys: list[Key], sources: Sequence[Source], now: int, history: History | None = None, journal: JournalFace | None = None,
    ) -> None:
        history = history or begin(config, sources, now)
        super().__init__(config, keys, history, now)
        self.sequencer = self._make_sequencer(history, journal)
        self.deadlines = self._make_deadlines(now)
        self._announcements = Announcements(self.sequencer, self.authenticator.revocations)
        self.feed.kept = self._keep
        self.self_trade = WIRE_SELF_TRADES[config.self_trade]
        self._sources = sources
        self._source_began = now
        self._entry = self._make_entry()
        self._reserve = Reserve(lambda order: "buy" if order.side == Side.BUY else "sell")
        self._opening: dict[str, list[Opened]] = {}    # who waits for a subject's account
        self.deposits = self._parse_deposits()
        self.recorder: Recorder | None = None    # of the accounts' history, if any is kept
        self._paying: set[int] = set()    # new accounts whose deposits have not run yet
        self.operations = Operations(self)
        self.phases = ScheduledPhases(self, self.schedule, now)

    def _make_sequencer(self, history: History, journal: JournalFace | None) -> CommandPath:
        sequencer = Sequencer(history.exchange, history.directory, history.results, self._applied, journal)
        sequencer.listed = self._listed
        return sequencer

    def _make_entry(self) -> OrderEntry:
        return OrderEntry(self.exchange, self.requests.done)    # type: ignore[arg-type]

    def _make_deadlines(self, now: int) -> Deadlines:
        deadlines = Deadlines(self.sequencer)
        deadlines.recover(now)
        return deadlines

    def _keep(self, account: int, kept: bool) -> None:
        """Write down that an account's events are kept from now on, or no longer."""
        key = KeptAccount(account)
        if kept != (key in self.directory) and not self.sequencer.low:    # without it a client gets a snapshot after a crash, and no patch
            self.sequencer.remember(key, True if kept else None)

    def _parse_deposits(self) -> list[tuple[int, int]]:
        """The configured deposits in units. Those of unknown assets are left out and logged. Raises ConfigError if one cannot be paid."""
        decimals = self.exchange.assets()
        deposits = []
        for asset, amount in self.config.deposit.items():
            if asset not in decimals:
                log.warning("a deposit for new accounts is not paid: there is no such asset", extra={"asset": asset, "expected": sorted(decimals)})
                continue
            try:
                units = from_text(amount, f"1e-{decimals[asset]}")
            except ValueError as error:
                raise ConfigError(f"deposit of {asset}: {error}") from error
            if not 0 <= units <= MONEY_MAX:
                raise ConfigError(f"deposit of {asset}: {amount}: expected 0 to {to_text(MONEY_MAX, f'1e-{decimals[asset]}')}, for all accounts together")
            if units:
                deposits.append((self.exchange.asset(asset), units))
        return deposits

    @property
    def directory(self) -> Directory:
        return self.sequencer.directory

    # Commands

    @property
    def failure(self) -> str:
        return f"the journal has failed: {self.sequencer.failure}" if self.sequencer.failure else ""

    def require_running(self) -> None:
        """Raises Refused if no command can be carried out at the moment."""
        if self.failure:
            raise Refused(ErrorCode.FROZEN, self.failure)

    def guard(self, session: Guarded, now: int) -> None:
        """Carry out what a session asked for in case that it ends, because it has ended."""
        guard, account = session.guard, session.account
        if guard.scope == "connection":
            for order in guard.orders:
                if self.is_open(order):
                    self.sequencer.commands.cancel(account, order, 0, now)
            guard.orders.clear()
        if not guard.under_way:    # else it ends when the answers are there
            self.deadlines.end_guard(account, session.number, guard, now)

    def open_account(self, subject: str, now: int, opened: Opened) -> None:
        """Find a subject's account, or open one; then call `opened` with its number."""
        if AccountOf(subject) in self.directory:
            opened(self.account_of(subject), ErrorCode.INTERNAL)
        elif self.sequencer.failure:
            opened(None, ErrorCode.FROZEN)
        elif self.sequencer.low:
            opened(None, ErrorCode.DISK_NEARLY_FULL)
        elif subject in self._opening:
            self._opening[subject].append(opened)
        else:
            self._opening[subject] = [opened]
            self.sequencer.commands.open_account(now)
            self.sequencer.expect(lambda result, outcome: self._account_opened(subject, outcome, now))

    def _account_opened(self, subject: str, outcome: Event | None, now: int) -> None:
        """The account is open: fund it, and write down whose it is, before anyone is told."""

        def settled(account: int | None, code: ErrorCode) -> None:
            for opened in self._opening.pop(subject):
                opened(account, code)

        if outcome is None:
            settled(None, ErrorCode.FROZEN)
        elif outcome.kind != EventKind.ACCOUNT_OPENED:
            settled(None, ErrorCode.TOO_MANY_ACCOUNTS)
        else:
            account, commands = outcome.account, self.sequencer.commands
            commands.set_account(account, self_trade=self.self_trade, time=now)
            for asset, amount in self.deposits:
                commands.deposit(account, asset, amount, now)
            self._paying.update([account] if self.deposits else [])
            self.sequencer.remember(AccountOf(subject), account, lambda kept: settled(account if kept else None, ErrorCode.FROZEN))

    def submit(self, account: int, request: OrderRequest, now: int, done: Reply) -> None:
        """Put a command into the next group, then call `done` with its result. Raises Refused if the instrument is unknown, or if the disk cannot take it.

        A request whose key the account has used before does not run again: `done` gets the result of the first one. Raises Refused if that may be forgotten.
        """
        if request.key:
            if self.sequencer.repeats(account, request.key, done):
                return
            self.check_key(account, request.sent, now)
        self.require_running()
        if self.sequencer.low:
            done = self._reserve.admit(self.exchange, account, request, done)
        else:
            self._reserve.end()
        commands = self.sequencer.commands
        match request:
            case Place():
                commands.place(
                    account=account, instrument=self.index_of(request.instrument), side=WIRE_SIDES[request.side], price=request.price,
                    size=request.size, type=WIRE_TYPES[request.type], time_in_force=WIRE_TIMES_IN_FORCE[request.time_in_force],
                    post_only=request.post_only, client_id=request.client_id, time=now, slide=request.slide, quote=request.quote,
                    stop=request.stop, display=request.display, min_size=request.min_size, expires=request.expires, linked=request.linked,
                    self_trade=WIRE_SELF_TRADES[request.self_trade],
                )
            case Cancel():
                commands.cancel(account, order=request.order, client_id=request.client_id, time=now)
            case Reduce():
                commands.reduce(account, order=request.order, by=request.by, client_id=request.client_id, time=now)
            case Replace():
                commands.replace(
                    account, order=request.order, price=request.price, size=request.size, client_id=request.client_id, time=now, stop=request.stop,
                )
            case CancelAll():
                index = ALL_INSTRUMENTS if request.instrument is None else self.index_of(request.instrument)
                commands.cancel_all(account, index, now, BOTH_SIDES if request.side is None else WIRE_SIDES[request.side])
        self.sequencer.expect(done, account, request.key)

    def enter(self, trader: Trader, payload: bytes, now: int) -> bool:
        """Take a request about an order that is still bytes; False if it has to be submitted."""
        sequencer = self.sequencer
        if sequencer.failure or sequencer.low:
            return False
        self._reserve.end()
        return self._entry.take(sequencer.commands, sequencer.replies, trader, payload, now)

    def hand_over(self, now: int) -> bool:
        """Give the journal what has entered. While it has a group already, its report leads to a tick, which hands over the next."""
        if self.sequencer.waits:
            return False
        self.sequencer.advance(now)
        return not self.sequencer.waits

    def check_key(self, account: int, sent: int, now: int) -> None:
        """Raises Refused if a request with an unknown key must not count as a new one, or if there is no room for another key."""
        results, sent, now = self.sequencer.results, self.engine_time(sent) if sent else 0, self.engine_time(now)
        if sent > now + SENT_MARGIN:
            raise Refused(ErrorCode.MALFORMED, f"sent {sent}: expected a time in the past; the server's clock says {now}")
        if sent and results.may_have_had(account, sent):
            raise Refused(ErrorCode.KEY_FORGOTTEN)
        if results.is_full(account, now):
            raise Refused(ErrorCode.TOO_MANY_REQUESTS, f"expected at most {KEYS_MAX} keys of one account within {KEY_TIME // 10**9} seconds")

    def engine_time(self, time: int) -> int:
        """Our clock is the engine's."""
        return time

    def operate(self, request: Operation, now: int, done: Reply) -> None:
        """Put an administrator's command into the next group, then call `done` with its result. Raises Refused if there is no such instrument or account."""
        self.require_running()
        if self.sequencer.low and not self.operations.ease(request):
            raise Refused(ErrorCode.DISK_NEARLY_FULL)
        self.operations.begin(request, now, done)

    @property
    def low(self) -> bool:
        return self.sequencer.low

    def announce(self, said: Announcement, done: Callable[[bool], None]) -> None:
        """Write it to disk, then act on it, in this process and in every process that follows."""
        entry = said.entry()

        def kept(on_disk: bool) -> None:
            done(on_disk)    # first, since the administrator's own connection may be one of those that are closed
            self.remembered(entry)

        self.sequencer.remember(entry.key, entry.value, kept)

    def remembered(self, entry: Entry) -> None:
        """Take in a value that is remembered from now on and is about the connections to this process."""
        said = self._announcements.follow(entry)
        if said:
            self.act(said)

    def forget_what_is_over(self, now: int) -> None:
        super().forget_what_is_over(now)
        self._announcements.forget(now, self.wall_time(now), self.sequencer)

    def read_history(self, question: Question) -> None:
        """Have a page of the history read, as of now. Raises Refused if no history is kept here."""
        if not self.recorder or self.recorder.failure:
            raise Refused(ErrorCode.NO_HISTORY, f"the history cannot be written: {self.recorder.failure}" if self.recorder else "")
        self.recorder.ask(question)

    def list_history(self, account: int, request: HistoryRequest, done: Callable[[Message], None]) -> None:
        """Call `done` with a page of what an account has done, as of now. Raises Refused if no history is kept here, or the instrument is unknown."""
        index = None if request.instrument is None else self.index_of(request.instrument)
        names = [book.instrument.name for book in self.exchange.books]
        self.read_history(question_of(account, index, request, names, done))

    # Time

    def state(self, seq: int, crc: int, now: int) -> State:
        """All that there is, for a snapshot behind record `seq`: no group may be in flight."""
        return State(
            exchange=self.exchange, directory=with_channels(self.feed, self.directory), results=self.sequencer.results, epoch=self._epoch,
            seq=seq, crc=crc, time=now,
        )

    def figures(self) -> Iterable[Figure]:
        """What the exchange tells of itself."""
        yield Figure("deltabook_commands", "Commands that the engine ran", self.sequencer.executed, counter=True)
        yield Figure("deltabook_commands_refused", "Commands that the engine refused", self.sequencer.refused, counter=True)
        yield Figure("deltabook_groups", "Groups of commands that were carried out together", self.sequencer.groups, counter=True)
        yield Figure("deltabook_frozen", "1 if the journal has failed and nothing is carried out any more", bool(self.failure))
        yield Figure("deltabook_disk_nearly_full", "1 if only what cancels or reduces is taken", self.sequencer.low)
        yield from super().figures()

    def _applied(self, time: int, commands: Buffer, entries: Sequence[Entry]) -> None:
        if self._paying:
            self._tell_unpaid()
        super()._applied(time, commands, entries)
        if self.recorder and len(commands):
            self.recorder.take(RanGroup(bytes(commands), bytes(self.exchange.events), time, self.exchange.seq, tuple(entries)))

    def _listed(self) -> None:
        """An instrument or an asset has been added."""
        self.feed.add_books()
        self.phases.look_again()
        self.deposits = self._parse_deposits()

    def _tell_unpaid(self) -> None:
        """Log the deposits of new accounts that could not be paid, because all accounts together would have more than can be counted."""
        told = [event for event in self.exchange.events if event.account in self._paying and event.kind in (EventKind.BALANCE, EventKind.REJECTED)]
        for event in told:
            if event.reason == Reason.AMOUNT_OUT_OF_RANGE:
                log.error("a deposit cannot be paid: there is more of the asset than the exchange can count", extra={"account": event.account})
        self._paying.difference_update(event.account for event in told)

    def _run_sources(self, now: int) -> None:
        """Run the steps of the sources that are due. They look at the state, so none of them runs while a group is under way."""
        elapsed = now - self._source_began
        for _ in range(SOURCE_STEPS_MAX):
            due = [source for source in self._sources if source.next_time() <= elapsed]
            if not due or self.sequencer.waits or self.sequencer.failure or self.sequencer.low:
                break
            for source in due:
                source.step(self.sequencer.ahead, now)
            self.sequencer.advance(now)

    def end_sources(self) -> None:
        """Take no more orders from the sources."""
        self._sources = ()

    def tick(self, now: int) -> int:
        """Run what has gathered, and send what is due. Returns when the next tick is due, in ns."""
        if self.recorder:
            self.recorder.answer()
        self.phases.carry_out(now)
        self._run_sources(now)
        if 0 < self.exchange.next_expiry <= now and not self.sequencer.waits:
            self.sequencer.commands.advance(now)
        for account in self.deadlines.due(now):
            self.sequencer.commands.cancel_all(account, ALL_INSTRUMENTS, now, BOTH_SIDES)
        self.operations.go_on(now)
        self.sequencer.advance(now)
        self.operations.clear_delisted()
        if self.sequencer.failure:
            self.tell_stale(self._engine_time)
        due = self._send(now)
        if self.sequencer.waits or self.sequencer.failure:
            return min(due, self.deadlines.next)    # the journal wakes the market
        due = min(due, self.phases.due)
        if self.operations.due:
            return now
        if self.sequencer.low:
            return min(due, self.deadlines.next, self.exchange.next_expiry or NEVER)    # sources wait until there is room
        sources = (self._source_began + source.next_time() for source in self._sources)
        return min(due, self.deadlines.next, self.exchange.next_expiry or NEVER, *sources)
