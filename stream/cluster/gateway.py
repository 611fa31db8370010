"""A gateway: a market whose commands run in another process. It shows the engine's state, and forwards the requests of its clients."""

from collections.abc import Callable, Iterable, Iterator

from stream.access.keys import Key
from stream.account_history.recorder import Question
from stream.cluster.forwarder import SEND_AGAIN, Forwarder
from stream.cluster.messages import OpenAccount, Request, Status
from stream.cluster.remote_history import RemoteHistory
from stream.cluster.replica import Replica
from stream.cluster.roll_call import Listed, RollCall
from stream.commands.directory import AccountOf, Directory, Entry, GatewayName, KeptAccount
from stream.commands.forwarded import Forwarded
from stream.feed.hub import Refused
from stream.journal.entries import OF_ENTRIES, entry_in
from stream.journal.format import Record
from stream.market.history import History
from stream.market.market import Market
from stream.market.sequencer import JournalFace
from stream.settings.config import Config
from stream.venue.safeguards import RemoteDeadlines
from stream.venue.trader import Trader
from stream.venue.venue import Figure, Opened
from stream.wire.administration import ListConnections
from stream.wire.channels import ACCOUNT_SCOPE, ADMIN_SCOPE, MARKET_SCOPE, TRADE_SCOPE
from stream.wire.codes import ErrorCode
from stream.wire.times import MILLISECOND, NEVER

ROLE = "gateway"

CONNECTIONS_MAX = 1 << 30
NUMBERED = (1 << 22) - 1
"""So many connections of so many gateways have numbers of their own, all below 2^53. A gateway's are by its own number, which is drawn."""


def changes(before: Directory, after: Directory) -> Iterator[Entry]:
    """The entries that turn one directory into another. O(keys of both)."""
    for key, value in after.items():
        if before.get(key) != value:
            yield Entry(key, value)
    for key in before.keys() - after.keys():
        yield Entry(key, None)


class Gateway(Market):
    """The engine's market, for the clients that are connected here. `replica` must have a state. `origin` is the number of this process."""

    scopes = frozenset({MARKET_SCOPE, ACCOUNT_SCOPE, TRADE_SCOPE, ADMIN_SCOPE})

    sequencer: Forwarder
    deadlines: RemoteDeadlines

    def __init__(self, config: Config, keys: list[Key], replica: Replica, origin: int, send: Callable[[Request], None], now: int) -> None:
        assert replica.state
        assert replica.feed
        self.replica = replica
        self.origin = origin
        self._forward = send
        self._beats = 0
        self._keep_again_at = self._open_again_at = now
        self._opening_since: dict[str, int] = {}
        state = replica.state
        super().__init__(config, keys, (), now, History(
            exchange=state.exchange, directory=state.directory, results=state.results, epoch=state.epoch, time=state.time, feed=replica.feed,
        ))
        self._numbers_from = (origin % NUMBERED + 1) * CONNECTIONS_MAX
        self.history = RemoteHistory(origin, send, config.command_patience_ms * MILLISECOND)
        self.roll_call = RollCall(self, self.sequencer, origin, config.command_patience_ms * MILLISECOND)
        self.deadlines.say(GatewayName(origin), (config.node or str(origin)).encode())
        replica.ran, replica.restored = self._ran, self._restored

    def _make_sequencer(self, history: History, journal: JournalFace | None) -> Forwarder:
        patience = self.config.command_patience_ms * MILLISECOND * 2
        replica = self.replica
        return Forwarder(
            history.exchange, history.directory, history.results, self.origin, self._forward, patience, replica.engine_time, lambda: replica.low,
        )

    def _make_deadlines(self, now: int) -> RemoteDeadlines:
        return RemoteDeadlines(self.sequencer, self.origin, self.replica.engine_time)

    def _keep(self, account: int, kept: bool) -> None:
        """Have the engine, and so every process, keep an account's events. Only the engine stops keeping them."""
        if kept:
            super()._keep(account, kept)

    # What the engine tells

    def _restored(self) -> None:
        """There is another state: go on with it."""
        state, feed = self.replica.state, self.replica.feed
        assert state
        assert feed
        before = self.sequencer.directory
        self.exchange, self.feed, self._epoch, self._engine_time = state.exchange, feed, state.epoch, state.time
        feed.kept = self._keep
        self._entry = self._make_entry()
        self.sequencer.adopt(state.exchange, state.directory, state.results)
        self.hub.adopt(feed)
        self.audit.adopt(feed)
        for entry in changes(before, state.directory):
            self._heard(entry)
        self.deadlines.repeat()
        self._settle_openings()

    def _ran(self, record: Record, group: Forwarded | None, indexes: list[int]) -> None:
        """A record has been applied."""
        assert self.replica.state
        self._epoch, self._engine_time = self.replica.state.epoch, self.replica.state.time
        if group:
            for entry in group.entries:
                self._remembered(entry)
                if group.origin != self.origin:
                    self._heard(entry)
            if group.origin == self.origin:
                self.sequencer.came_back(group, indexes)
        elif record.kind in OF_ENTRIES:
            entry = entry_in(record)
            self._remembered(entry)
            self._heard(entry)
            self.deadlines.follow(entry, self._engine_time)

    def _heard(self, entry: Entry) -> None:
        """Another process has stored a value, which may be about connections here."""
        self.remembered(entry)
        self.roll_call.follow(entry)

    def _remembered(self, entry: Entry) -> None:
        key = entry.key
        if isinstance(key, KeptAccount) and entry.value is None and key.account in self.hub.accounts_heard():
            self.hub.adopt(self.feed)    # its channels begin anew
        if self._opening:
            self._settle_openings()

    def _settle_openings(self) -> None:
        for subject in [subject for subject in self._opening if AccountOf(subject) in self.sequencer.directory]:
            for opened in self._opening.pop(subject):
                opened(self.account_of(subject), ErrorCode.INTERNAL)

    # What clients ask

    def require_running(self) -> None:
        if self.stale_since:
            raise Refused(ErrorCode.NO_ENGINE)
        if self.sequencer.unanswered >= self.config.unanswered_max:
            raise Refused(ErrorCode.TOO_MANY_WAITING)

    def enter(self, trader: Trader, payload: bytes, now: int) -> bool:
        """Take a request about an order that is still bytes; False if it has to be submitted."""
        if self.stale_since or self.sequencer.unanswered >= self.config.unanswered_max:
            return False
        return super().enter(trader, payload, now)

    def open_account(self, subject: str, now: int, opened: Opened) -> None:
        """Find a subject's account, or have the engine open one; then call `opened` with its number."""
        if AccountOf(subject) in self.sequencer.directory:
            opened(self.account_of(subject), ErrorCode.INTERNAL)
        elif self.stale_since:
            opened(None, ErrorCode.NO_ENGINE)
        elif self.low:
            opened(None, ErrorCode.DISK_NEARLY_FULL)
        elif subject in self._opening:
            self._opening[subject].append(opened)
        else:
            self._opening[subject] = [opened]
            self._opening_since.setdefault(subject, now)
            self._forward(OpenAccount(subject))

    def read_history(self, question: Question) -> None:
        """Have the engine's process read a page of the history. Raises Refused if it is not there, or if too many pages are under way."""
        if self.stale_since:
            raise Refused(ErrorCode.NO_ENGINE)
        self.history.ask(question)

    # Time

    def engine_time(self, time: int) -> int:
        return self.replica.engine_time(time)

    def tick(self, now: int) -> int:
        """Forward what has gathered, tell clients if this gateway has fallen behind, and send what is due. Returns when the next tick is due, in ns."""
        due = min(self.replica.tick(now), self._send_openings(now), self.roll_call.tick(now), self.history.tick(now))
        self.operations.go_on(now)
        self.sequencer.advance(now)
        self.tell_stale(self.replica.complete_at if self.replica.stale(now) else 0)
        return min(due, self._send(now), self.sequencer.next_due)

    def hand_over(self, now: int) -> bool:
        """A tick does that."""
        return True

    def list_connections(self, request: ListConnections, now: int, listed: Listed) -> None:
        """Call `listed` with the connections to all gateways, and with the names of the gateways that did not answer."""
        self.roll_call.ask(request, now, listed)

    def say_goodbye(self) -> None:
        """Tell the engine that this gateway will be gone."""
        self.deadlines.say(GatewayName(self.origin), None)

    def _send_openings(self, now: int) -> int:
        """Ask again for accounts that are not open yet, and give up on those that the engine does not open."""
        for subject, since in list(self._opening_since.items()):
            if subject not in self._opening:
                del self._opening_since[subject]
            elif now - since >= self.config.command_patience_ms * MILLISECOND:
                for opened in self._opening.pop(subject):
                    opened(None, ErrorCode.NO_ENGINE)
        if self._opening and now >= self._open_again_at:
            self._open_again_at = now + SEND_AGAIN
            for subject in self._opening:
                self._forward(OpenAccount(subject))
        return self._open_again_at if self._opening else NEVER

    def forget_what_is_over(self, now: int) -> None:
        """It is the engine that says when."""

    def keep_house(self, now: int) -> None:
        super().keep_house(now)
        if now >= self._keep_again_at and not self.low:
            self._keep_again_at = now + self.config.account_resume_s * 10**9 // 3
            for account in self.hub.accounts_heard():
                self.sequencer.remember(KeptAccount(account), True)

    def status(self, name: str, now: int) -> Status:
        """What this gateway says of itself, to be sent to the engine now and then. `now` is in ns since 1970."""
        self._beats += 1
        behind_ms = max(0, now - self.replica.complete_at) // MILLISECOND
        return Status(
            origin=self.origin, role=ROLE, name=name, beat=self._beats, term=self.replica.term, position=self.replica.position,
            connections=len(self.sessions), behind_ms=behind_ms,
        )

    def figures(self) -> Iterable[Figure]:
        """What it tells of the engine and of the link to it."""
        yield Figure("deltabook_commands", "Commands of this gateway's clients that the engine ran", self.sequencer.executed, counter=True)
        yield Figure("deltabook_commands_refused", "Commands of this gateway's clients that the engine refused", self.sequencer.refused, counter=True)
        yield Figure("deltabook_sequence", "The sequence of the state here", self.exchange.seq)
        yield Figure("deltabook_open_orders", "Open orders", self.exchange.order_count)
        yield Figure("deltabook_link_term", "The term of the engine that is followed", self.replica.term)
        yield Figure("deltabook_link_position", "The last record of the engine's journal that is here", self.replica.position)
        yield Figure("deltabook_link_batches", "Batches of records that were applied", self.replica.batches, counter=True)
        yield Figure("deltabook_link_snapshots", "Times that the state was begun anew with a snapshot", self.replica.snapshots, counter=True)
        yield Figure("deltabook_link_complete_time_seconds", "When all that the engine had was here", self.replica.complete_at / 10**9)
