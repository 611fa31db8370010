"""The journal of a running server: the recovery at the start, the thread that writes, a snapshot now and then, and the last snapshot.

A separate process takes a snapshot: it reads the journal up to a record and replays it. So the matcher never waits for a snapshot.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from stream.journal import snapshots
from stream.journal.files import Files
from stream.journal.format import JournalError, Kind
from stream.journal.recovery import mark_of
from stream.journal.writer import Journal
from stream.market.history import History, recover
from stream.market.market import Market
from stream.market.trial import Trial
from stream.settings.config import Config
from stream.sources import Source
from stream.system.tasks import once

log = logging.getLogger("deltabook")


class Archive:
    """A journal's folder, which this process has locked. Raises ConfigError, JournalError or OSError if that is not possible."""

    def __init__(
        self, files: Files, config: Config, sources: Sequence[Source], now: int, report: Callable[[], None], taken: Callable[[], None] = lambda: None,
    ) -> None:
        """`report` is called from another thread when something is on disk or has failed. `taken` is called when there is a new snapshot."""
        self._taken = taken
        self.files = files
        self._config = config
        began = time.monotonic()
        self.history: History = recover(files, config.journal, config, sources, now, Trial(config))
        assert self.history.opened
        self._opened = self.history.opened
        self.position = self._opened.writer.seq    # the last record that was there at the start
        self._tell(time.monotonic() - began)
        self._snapshot_at = 0    # commands executed when the latest snapshot began
        self.snapshooter: asyncio.Task[None] | None = None
        self.process: asyncio.subprocess.Process | None = None
        self._failed = self._low = self._waits = False
        self.journal = Journal(self._opened.writer, report)

    def _tell(self, seconds: float) -> None:
        replay = self._opened.replay
        if replay is None:
            return
        for damaged in replay.wrong:
            log.warning("a snapshot could not be used", extra={"reason": str(damaged)})
        if replay.reader.torn:
            cut = {"file": replay.reader.path, "offset": replay.reader.offset, "bytes": replay.reader.torn}
            log.warning("the end of the journal was an unfinished write, which was never acknowledged; it was cut off", extra=cut)
        log.info("the journal was replayed", extra={"folder": self._config.journal, "records": replay.records, "seconds": round(seconds, 3)})

    def keep(self, executed: int) -> None:
        """Measure the room on the disk, and log changes. Begin a snapshot if enough commands have run since the latest one."""
        self.journal.measure()
        if self.journal.failure and not self._failed:
            log.critical("the journal has failed: the market has stopped", extra={"reason": str(self.journal.failure)})
        if self.journal.low != self._low:
            full, room = "the disk is nearly full: only requests that cancel or reduce orders are taken", "there is room on the disk again"
            log.warning(full if self.journal.low else room)
        if bool(self.journal.waits_for) != self._waits:
            log.warning("the journal waits: nothing is acknowledged until it has a file descriptor" if self.journal.waits_for else "the journal goes on",
                        extra={"reason": self.journal.waits_for})
        self._failed, self._low, self._waits = self.journal.failure is not None, self.journal.low, bool(self.journal.waits_for)
        if executed - self._snapshot_at >= self._config.journal_snapshot_commands and not self.snapshooter and not self.journal.failure:
            self._snapshot_at = executed
            self.snapshooter = once("a snapshot", self._snapshot())

    async def _snapshot(self) -> None:
        flags = {"--upto": self.journal.durable, "--keep": self._config.journal_snapshots_kept, "--trades": self._config.trades_kept}
        command = ["journal", "snapshot", self._config.journal, *(str(part) for flag in flags.items() for part in flag)]
        try:
            self.process = await asyncio.create_subprocess_exec(
                "nice", sys.executable, "-m", "stream", *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            )
            _, said = await self.process.communicate()
            if self.process.returncode:
                log.error("a snapshot was not taken", extra={"reason": said.decode(errors="replace")[-1000:]})
            else:
                self._taken()
        finally:
            self.snapshooter = self.process = None

    def abandon(self) -> None:
        """Leave the folder as it is, to others."""
        self.journal.close()
        self.files.close(self._opened.lock)

    async def close(self, market: Market, now: int) -> None:
        """Write down what a replay must lead to, commit everything, and leave a snapshot for a quick start."""
        if self.snapshooter:
            if self.process:
                with suppress(ProcessLookupError):
                    self.process.terminate()
            await asyncio.wait([self.snapshooter])
        with suppress(JournalError):
            self.journal.append(Kind.MARK, msgspec.msgpack.encode(mark_of(market.exchange, True)), now)    # nothing is in flight any more
        self.journal.close()
        end = self._opened.writer
        if not self.journal.failure:
            try:
                snapshots.write(self.files, self._config.journal, market.state(end.seq, end.crc, now))
                snapshots.prune(self.files, self._config.journal, self._config.journal_snapshots_kept)
            except (JournalError, OSError) as error:
                log.error("the last snapshot was not taken; no record is lost", extra={"reason": str(error)})
        self.files.close(self._opened.lock)
