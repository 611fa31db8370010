"""A market on a TCP port with the journal that it writes, or a journal that is played again."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress

from stream.access.keys import Key
from stream.account_history.rebuild import Rebuild, begin
from stream.account_history.recorder import Recorder, open_database
from stream.commands.directory import SourceAccounts
from stream.journal.files import Disk, Files
from stream.market.archive import Archive
from stream.market.market import Market
from stream.market.playback import Playback
from stream.server.server import Server
from stream.settings.config import Config, ConfigError
from stream.sources import Source
from stream.system.clock import Clock

log = logging.getLogger("deltabook")


class ArchivedServer(Server):
    """A market on a TCP port, and the archive that has its journal, if it has one."""

    _history_failed = False

    def __init__(self, config: Config, market: Market, clock: Clock, archive: Archive | None) -> None:
        self.market = market
        self.archive = archive
        super().__init__(config, market, clock)
        self.market.recorder = recorder_of(config, market, archive, self.wake_from_thread)

    def keep(self) -> None:
        if self.archive:
            self.archive.keep(self.market.sequencer.executed)
        recorder = self.market.recorder
        if recorder and recorder.failure and not self._history_failed:
            self._history_failed = True
            log.error("the history of orders and trades is not written any more, until the next start", extra={"reason": recorder.failure})

    async def end(self) -> None:
        """Let the journal have what has been taken in, and close it."""
        await self.run_what_has_gathered()
        if self.market.recorder:
            self.market.recorder.close()
        if self.archive:
            await self.archive.close(self.market, self.clock.now())

    async def run_what_has_gathered(self) -> None:
        """Let the journal have what has been taken in, and take in no more of the sources."""
        self.market.end_sources()
        while self.market.sequencer.waits:
            await asyncio.sleep(0.001)
            self.tick()

    def wake_from_thread(self) -> None:
        """The journal has news."""
        if self._loop:
            with suppress(RuntimeError):    # the loop is closed
                self._loop.call_soon_threadsafe(self.wake)


def recorder_of(config: Config, market: Market, archive: Archive | None, report: Callable[[], None]) -> Recorder | None:
    """The history of accounts as it is configured, brought up to where the market is. None if none is kept. Raises ConfigError if that fails."""
    if not config.history and not config.dialects and config.rest_port is None:
        return None
    path = config.history or (":memory:" if config.journal == "none" else f"{config.journal}/history.sqlite")
    at, database = market.point(0), None
    left_out = {account for key, accounts in market.directory.items() if isinstance(key, SourceAccounts) and isinstance(accounts, list) for account in accounts}
    try:
        database = open_database(path, config.history_orders_max)
        if archive:
            Rebuild(database, archive.files, config.journal, left_out).run(at.epoch, at.seq)
        else:
            begin(database, market.exchange, market.directory, at.epoch, at.engine_time)
        return Recorder(database, left_out, report)
    except (sqlite3.Error, OSError) as error:
        if database:
            database.close()
        raise ConfigError(f"history {path}: {error}") from error


class MarketServer(ArchivedServer):
    """The one process of a market."""

    def __init__(self, config: Config, keys: Sequence[Key] = (), sources: Sequence[Source] = (), files: Files | None = None) -> None:
        """ConfigError, JournalError or OSError if the journal cannot be had; `files` is the disk that it is on, if not the real one."""
        archive: Archive | None = None
        clock, files = Clock(), files or Disk()
        if config.journal == "none":
            market = Market(config, list(keys), sources, clock.now())
        else:
            archive = Archive(files, config, sources, clock.now(), self.wake_from_thread)
            history = archive.history
            clock = Clock(history.time)
            market = Market(config, list(keys), sources, clock.now(), history, archive.journal)
        super().__init__(config, market, clock, archive)


class PlaybackServer(Server):
    """A journal that is played again, on a TCP port."""

    def __init__(self, config: Config, keys: Sequence[Key] = ()) -> None:
        """Raises Damaged, JournalError or OSError if the journal cannot be played."""
        clock = Clock()
        super().__init__(config, Playback(config, list(keys), Disk(), config.played, clock.now()), clock)
