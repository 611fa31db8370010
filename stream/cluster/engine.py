"""The engine of a market in many processes. It runs what gateways forward, and sends them every record after it has run. It serves no client."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence

from msgspec.structs import replace

from stream.access.keys import Key
from stream.account_history.recorder import Page, Question
from stream.cluster.messages import LINK, AskHistory, Batch, Beat, Forward, OpenAccount, Request, Status, ToldHistory
from stream.cluster.shipper import Shipper
from stream.commands.directory import DirectoryKey, GatewayName, KeptAccount, Term
from stream.commands.forwarded import COMMAND_BYTES, Forwarded, fault, last_number, not_run
from stream.feed.hub import Refused
from stream.journal import snapshots
from stream.journal.recovery import mark_of
from stream.market.history import History, keep
from stream.market.market import Market
from stream.market.sequencer import JournalFace, Sequencer
from stream.settings.config import Config
from stream.sources import Source
from stream.venue.safeguards import Deadlines, processes_of
from stream.venue.venue import Figure
from stream.wire.channels import MARKET_SCOPE
from stream.wire.codes import ErrorCode
from stream.wire.times import MILLISECOND, NEVER

log = logging.getLogger("deltabook")

COMMAND_WORDS = COMMAND_BYTES // 8

MARK_INTERVAL = 100 * MILLISECOND
"""The shortest time between two batches that say what a replay must lead to."""


def gateways_of(keys: Collection[DirectoryKey]) -> set[int]:
    """The numbers of the gateways that the directory says are there. O(keys)."""
    return (processes_of(keys) | {key.origin for key in keys if isinstance(key, GatewayName)}) - {0}


class Engine(Market):
    """The one process that runs the market's commands. `publish` must send its batches to every gateway, `tell` an answer to the one that has asked.

    `position` is where its journal ends at the start. Up to `began`, that journal is also the history of the leader before.
    """

    scopes = frozenset({MARKET_SCOPE})
    refusal = ErrorCode.PUBLIC_ONLY

    sequencer: Sequencer

    def __init__(
        self, config: Config, keys: list[Key], sources: Sequence[Source], now: int, history: History, journal: JournalFace | None, position: int, began: int,
        term: int, publish: Callable[[Batch], None], tell: Callable[[ToldHistory], None] = lambda told: None,
    ) -> None:
        self.shipper = Shipper(journal, position)
        self.term = term
        self.position = position
        self._began = began
        self.gateways: dict[int, tuple[Status, int]] = {}    # by origin, and when the latest beat was seen
        self.gone: set[int] = set()
        self.publish = publish
        self._tell_asker = tell
        self._marked_at = now
        self._beats = 0
        self._taken: dict[int, int] = {}    # the last number of each origin, run or gathered
        self._made_at: dict[tuple[int, int], int] = {}    # when groups that are gathered were made, by origin and number
        super().__init__(config, keys, sources, now, history, self.shipper)
        self.sequencer.taken = self._ran
        self.sequencer.remember(Term(), term)
        for origin in gateways_of(history.directory):
            self._expect_gateway(origin, now)

    def _make_deadlines(self, now: int) -> Deadlines:
        deadlines = Deadlines(self.sequencer)
        deadlines.recover(now, alone=False)
        return deadlines

    def _expect_gateway(self, origin: int, now: int) -> None:
        self.gateways.setdefault(origin, (Status(origin=origin, role="gateway", name="", beat=0, term=0, position=0, connections=0, behind_ms=0), now))

    @property
    def begun(self) -> bool:
        """Whether clients may connect: never, for what is told here is told by the gateways, and to whom it is told there it has been acknowledged."""
        return False

    # What gateways ask

    def receive(self, request: Request, now: int) -> None:
        """Take in what a gateway tells, at `now` in ns since 1970. A group that cannot be run is answered as such, and logged; this raises nothing."""
        match request:
            case Forward():
                self._take(request, now)
            case OpenAccount():
                self.open_account(request.subject, now, lambda account, code: None)
            case Status():
                known = self.gateways.get(request.origin)
                if not known or known[0].beat != request.beat:
                    self.gateways[request.origin] = (request, now)
            case AskHistory():
                self._answer(request)

    def _answer(self, asked: AskHistory) -> None:
        def answered(found: Page | ErrorCode, since: int) -> None:
            if isinstance(found, ErrorCode):
                self._tell_asker(ToldHistory(asked.origin, asked.number, int(found), 0))
            else:
                self._tell_asker(ToldHistory(asked.origin, asked.number, 0, since, **{"trades" if asked.trades else "orders": found}))    # type: ignore[arg-type]

        try:
            self.read_history(Question(asked.trades, asked.wanted, answered))
        except Refused as refused:
            answered(refused.code, 0)

    def _take(self, forward: Forward, now: int) -> None:
        """Run a group if it is the next one of its origin. An earlier one is already on its way; a missing one will be sent again."""
        group = forward.group
        if group.origin not in self._taken:
            self._taken[group.origin] = last_number(self.sequencer.directory, group.origin)
        if group.number != self._taken[group.origin] + 1 or self.sequencer.failure:
            return
        self._taken[group.origin] = group.number
        wrong = "its message cannot be read" if group.refused else fault(group, self.exchange.accounts)
        if forward.link != LINK:
            wrong = f"it is of version {forward.link} of the link: expected {LINK}"
        if wrong:
            log.error("a group of a gateway cannot be run", extra={"origin": group.origin, "number": group.number, "reason": wrong})
            self.sequencer.forward(not_run(group.origin, group.number))
            return
        commands = bytearray(group.commands)
        late = now - forward.time > self.config.command_patience_ms * MILLISECOND
        refused = ErrorCode.TOO_LATE if late else ErrorCode.DISK_NEARLY_FULL if self.sequencer.low else 0
        times = memoryview(commands).cast("q")
        for place in range(0, len(times), COMMAND_WORDS):
            times[place] = now    # the engine's clock is the market's
        times.release()
        self._made_at[group.origin, group.number] = forward.time
        self.sequencer.forward(replace(group, commands=bytes(commands), refused=int(refused)), () if refused else forward.listings)

    def _ran(self, group: Forwarded) -> None:
        made_at = self._made_at.pop((group.origin, group.number), NEVER)
        for entry in group.entries:
            keep(self.feed, entry)
            self.deadlines.follow(entry, self._engine_time, made_at)
            self.remembered(entry)
            if isinstance(entry.key, KeptAccount):
                self.hub.expect([entry.key.account], self._engine_time)
        for origin in gateways_of([entry.key for entry in group.entries if entry.value is not None]):
            self._expect_gateway(origin, self._engine_time)

    # What it tells

    def tick(self, now: int) -> int:
        """Run what has gathered, and publish what has run. Returns when the next tick is due, in ns."""
        due = super().tick(now)
        records = self.shipper.take(self.sequencer.ran)
        if records:
            prev, self.position = self.position, records[-1].seq
            mark = None
            if now - self._marked_at >= MARK_INTERVAL:
                self._marked_at = now
                mark = mark_of(self.exchange, False)
            self.publish(Batch(term=self.term, began=self._began, prev=prev, position=self.position, records=records, mark=mark))
        return due

    def beat(self, now: int) -> Beat:
        """A sign of life, to be sent to all gateways now and then."""
        self._beats += 1
        return Beat(self.term, self.position, self._beats, now, self.sequencer.low)

    def pieces(self, now: int) -> tuple[bytes, ...]:
        """The present state, encoded, in pieces; joined, they are what is sent to gateways. Costs time and memory for all of it."""
        return snapshots.pieces(self.state(self.position, 0, now))

    def keep_house(self, now: int) -> None:
        super().keep_house(now)
        for origin, (_, seen) in list(self.gateways.items()):
            if now - seen >= self.config.gateway_timeout_ms * MILLISECOND:
                del self.gateways[origin]
                self.gone.add(origin)
                self.deadlines.end_process(origin, seen, now)
                if GatewayName(origin) in self.sequencer.directory:
                    self.sequencer.remember(GatewayName(origin), None)

    def figures(self) -> Iterable[Figure]:
        """What it tells of itself, and of the link to its gateways."""
        yield from super().figures()
        yield Figure("deltabook_link_term", "This leader's term", self.term)
        yield Figure("deltabook_link_position", "The last record that was told to the gateways", self.position)
        yield Figure("deltabook_link_gateways", "Gateways and standbys that give a sign of life", len(self.gateways))
        positions = [status.position for status, _ in self.gateways.values() if status.beat]
        yield Figure("deltabook_link_records_behind_max", "Records that the last of them is behind", self.position - min(positions, default=self.position))
