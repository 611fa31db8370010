"""Plays a journal again: the market as it was, at a chosen speed, for clients to watch. Takes the time as an argument."""

from typing import NoReturn

import msgspec

from engine import BadSnapshot
from stream.access.keys import Key
from stream.commands.directory import AccountOf, Directory
from stream.commands.results import Reply
from stream.feed.feed import Feed
from stream.feed.hub import Refused
from stream.journal import snapshots
from stream.journal.files import Files
from stream.journal.format import REMEDY, Damaged
from stream.journal.reader import JournalReader
from stream.journal.recovery import apply, begin
from stream.market.exchange_venue import ExchangeVenue
from stream.market.history import OF_COMMANDS, History, entries_of, follow, restore_channels
from stream.settings.config import Config
from stream.venue.announcements import Announcements
from stream.venue.safeguards import Deadlines, NoStore
from stream.venue.venue import Opened
from stream.venue.venue_face import Guarded
from stream.wire.administration import Operation
from stream.wire.channels import ACCOUNT_SCOPE, ADMIN_SCOPE, MARKET_SCOPE
from stream.wire.codes import ErrorCode
from stream.wire.messages import OrderRequest
from stream.wire.times import NEVER

RECORDS_MAX = 256
"""The most records in one tick, so that a playback that is behind does not keep the clients waiting."""


class Playback(ExchangeVenue):
    """The history that is in a journal's folder, from where that begins: the same events under the same sequences. It takes no requests.

    A record is due when the time since the start is its distance from the first record, divided by the speed. Raises Damaged if there is
    nothing to play.
    """

    scopes = frozenset({MARKET_SCOPE, ACCOUNT_SCOPE, ADMIN_SCOPE})
    refusal = ErrorCode.PAST_ONLY

    def __init__(self, config: Config, keys: list[Key], files: Files, folder: str, now: int) -> None:
        state = snapshots.oldest(files, folder)
        self._reader = JournalReader(files, folder, state.seq if state else 0, state.crc if state else 0)
        self._records = iter(self._reader)
        self._state = state or begin(next(self._records), self._reader.epoch)
        self._next = next(self._records, None)
        self._began = now
        self._first_time = self._state.time
        feed = Feed(self._state.exchange, config)
        restore_channels(feed, self._state.directory)
        history = History(
            exchange=self._state.exchange, directory=self._state.directory, results=self._state.results, epoch=self._state.epoch,
            time=self._first_time, feed=feed,
        )
        super().__init__(config, keys, history, now)
        self.deadlines = Deadlines(NoStore({}))
        self._announcements = Announcements(NoStore(self.directory), self.authenticator.revocations)

    @property
    def directory(self) -> Directory:
        return self._state.directory

    def _due(self) -> int:
        """When the next record is due."""
        return self._began + int((self._next.time - self._first_time) / self.config.speed) if self._next else NEVER

    def engine_time(self, time: int) -> int:
        """The time in the history; when that has ended, it stands still."""
        return self._first_time + int((time - self._began) * self.config.speed) if self._next else self._engine_time

    def tick(self, now: int) -> int:
        """Play and send what is due. Returns when the next tick is due, in ns."""
        for _ in range(RECORDS_MAX):
            if self._due() > now:
                break
            self._play()
        return min(self._send(now), self._due())

    def _play(self) -> None:
        record = self._next
        assert record
        try:
            apply(self._state, record)
        except (BadSnapshot, ValueError, msgspec.MsgspecError) as error:
            raise Damaged(self._reader.path, record.offset, f"record {record.seq}: {error}", REMEDY) from error
        finally:
            self._next = None
        self._epoch = self._state.epoch
        follow(self.feed, record)
        if record.kind in OF_COMMANDS:
            self._engine_time = record.time
        for entry in entries_of(record):
            self._announcements.follow(entry)    # a token that was revoked then is not good again
        self._next = next(self._records, None)

    # What it cannot do

    def open_account(self, subject: str, now: int, opened: Opened) -> None:
        """The account that the subject had then."""
        if AccountOf(subject) in self.directory:
            opened(self.account_of(subject), ErrorCode.INTERNAL)
        else:
            opened(None, ErrorCode.UNKNOWN_SUBJECT)

    def submit(self, account: int, request: OrderRequest, now: int, done: Reply) -> NoReturn:
        """Refused."""
        raise Refused(self.refusal)

    def operate(self, request: Operation, now: int, done: Reply) -> NoReturn:
        """Refused."""
        raise Refused(self.refusal)

    def guard(self, session: Guarded, now: int) -> None:
        """There is nothing to cancel."""
