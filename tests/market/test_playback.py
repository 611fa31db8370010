"""A journal that is played again: the same books under the same sequences, for watching alone."""

import random

import msgspec
import pytest

from stream.access.keys import key_of
from stream.market.playback import Playback
from stream.settings.config import Config, ConfigError
from stream.wire.administration import Disconnect, Revoke
from stream.wire.codes import ErrorCode
from stream.wire.frames import Book
from stream.wire.messages import Cancel, Confirmed, Error, LoggedIn, Login, Place, Subscribe
from tests.journal.fake_disk import FakeDisk
from tests.journal.journals import FOLDER
from tests.market.journaled import after_a_stop
from tests.market.test_journaled_market import JournaledMarket, S
from tests.setting import CONFIG, SECRET, token
from tests.worlds import BOOK, Desk


class Watched(Playback):
    """A playback whose time stands still until a test moves it."""

    def __init__(self, disk: FakeDisk, now: int, speed: float) -> None:
        self.now = now
        super().__init__(msgspec.structs.replace(CONFIG, speed=speed), [key_of("HS256", SECRET)], disk, FOLDER, now)


@pytest.mark.parametrize("stopped", [False, True])
def test_every_moment_comes_back_in_its_time(stopped: bool) -> None:
    journaled, chance = JournaledMarket(), random.Random(3)
    alice = journaled.desk("alice")
    states = []
    for price in range(100, 120):
        journaled.market.now += S
        journaled.ask(alice, Place, "BTC-USD", chance.choice(("buy", "sell")), price, 5)
        states.append((journaled.market.exchange.seq, journaled.market.exchange.state_hash()))
    if stopped:
        journaled.stop()
    market = Watched(after_a_stop(journaled.disk), journaled.now + 3600 * S, 10.0)
    watcher = Desk(market)    # type: ignore[arg-type]
    watcher.ask(Subscribe, [BOOK], interval_ms=0)
    seen = []
    for _ in range(25):
        market.tick(market.now)
        seen.append((market.exchange.seq, market.exchange.state_hash()))
        market.now += S // 10
    assert list(dict.fromkeys(state for state in seen if state in states)) == states
    frames = [frame for frame in watcher.hear() if isinstance(frame, Book)]
    assert len(frames) > 5
    assert frames[-1].digest == market.exchange.book("BTC-USD").levels.digest


def test_nothing_can_be_asked_of_the_past() -> None:
    journaled = JournaledMarket()
    placed = journaled.ask(journaled.desk("alice"), Place, "BTC-USD", "buy", 100, 5)
    market = Watched(after_a_stop(journaled.disk), journaled.now, 1e9)
    market.tick(market.now + S)
    alice = Desk(market)    # type: ignore[arg-type]
    assert isinstance(alice.ask(Login, token("alice", market.now, "market account trade"))[0], LoggedIn)
    for request in ((Place, "BTC-USD", "buy", 100, 5), (Cancel, placed.order)):    # type: ignore[attr-defined]
        (error,) = alice.ask(*request)
        assert isinstance(error, Error)
        assert error.code == ErrorCode.PAST_ONLY
    (error,) = Desk(market).ask(Login, token("nobody", market.now))    # type: ignore[arg-type]
    assert error.code == ErrorCode.UNKNOWN_SUBJECT


def test_an_administrator_ends_connections_to_a_playback() -> None:
    journaled = JournaledMarket()
    for subject in ("alice", "root"):
        journaled.desk(subject)
    market = Watched(after_a_stop(journaled.disk), journaled.now, 1e9)
    market.tick(market.now + S)
    alice, root = Desk(market), Desk(market)    # type: ignore[arg-type]
    alice.ask(Login, token("alice", market.now, "market account"))
    root.ask(Login, token("root", market.now, "admin"))
    assert [type(answer) for answer in root.ask(Disconnect, "alice")] == [Confirmed]
    assert alice.session.closed
    assert not root.session.closed


@pytest.mark.parametrize("stopped", [False, True])
def test_a_token_that_was_revoked_then_is_refused(stopped: bool) -> None:
    journaled = JournaledMarket()
    revoked = token("alice", journaled.now, "market account", jti="lost")
    journaled.desk("alice")
    root = journaled.desk()
    journaled.ask(root, Login, token("root", journaled.now, "admin"))
    assert isinstance(journaled.ask(root, Revoke, "", "lost"), Confirmed)
    if stopped:
        journaled.stop()
    market = Watched(after_a_stop(journaled.disk), journaled.now, 1e9)
    market.tick(market.now + S)
    assert [type(answer) for answer in Desk(market).ask(Login, revoked)] == [Error]    # type: ignore[arg-type]


def test_a_journal_is_played_alone() -> None:
    with pytest.raises(ConfigError, match="together with another source"):
        _ = Config(sources=("journal:data", "recorded")).played
