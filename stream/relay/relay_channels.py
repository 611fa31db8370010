"""The public channels of another server in a relay. Each follows the other server's frames, and makes its own frames from what they hold.

A channel always holds a state that the other server had, which the digest proves; `point` says at which sequence. A frame that was correct for
every client between its `prev` and its `seq` stays correct when it is passed on, whatever it is merged with.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

from msgspec.structs import replace

from engine import PriceLevels
from stream.feed.book_frames import Window
from stream.feed.by_order_log import ByOrderLog
from stream.feed.channel import Channel, Point
from stream.feed.hub import Refused
from stream.feed.public_channels import BookChannel, ByOrderChannel, TradesChannel
from stream.settings.config import Config
from stream.wire.channels import BOOK, TICKER, ChannelName, parse
from stream.wire.codec import Shared
from stream.wire.codes import ErrorCode
from stream.wire.fields import PhaseName
from stream.wire.frames import Book, MarketByOrder, Ticker, Trades
from stream.wire.messages import Frame
from stream.wire.mirror import BookMirror, ByOrderMirror, Mirror, TickerMirror, TradesMirror, Verdict


class Relayed(Channel):
    """A channel of another server."""

    relayed = True
    mirror: Mirror[Any]
    engine_time = 0

    def point(self, at: Point) -> Point:
        return Point(self.mirror.epoch, self.mirror.seq, self.engine_time, at.now)

    def take(self, frame: Frame) -> Verdict:
        """Take in a frame; what became of it. A snapshot that is older than what is here is dropped."""
        epoch, seq = self.mirror.epoch, self.mirror.seq
        if frame.prev is None and frame.epoch == epoch and frame.seq < seq:
            return Verdict.DROPPED
        verdict = self.mirror.receive(frame)
        if verdict in (Verdict.SNAPSHOT, Verdict.APPLIED):
            self._took(frame, seq if frame.epoch == epoch else None)
        return verdict

    @abstractmethod
    def _took(self, frame: Any, before: int | None) -> None:
        """The mirror has taken in what is new. `before` is where it stood, None in another history."""


class LastingMirror(BookMirror):
    """A book that keeps its past, for whoever was with the other server at any sequence of it."""

    def __init__(self, channel: str, tombstones: int) -> None:
        super().__init__(channel)
        self.levels = PriceLevels(tombstones)

    def _apply(self, frame: Book) -> None:
        self.levels.follow(frame.bids, frame.asks, frame.seq)


class RelayedBook(Relayed, BookChannel):
    """An order book in full depth."""

    def __init__(self, instrument: str, config: Config) -> None:
        self.mirror = LastingMirror(str(ChannelName(BOOK, instrument)), config.tombstones_max)
        super().__init__(instrument, self.mirror.levels)
        self._batches = 0
        self._uncounted = 0    # the sequence of the last frame that did not say of how many batches it was

    @property
    def batches(self) -> int:
        return self._batches

    def take(self, frame: Any) -> Verdict:
        verdict = super().take(frame)
        if (frame.epoch, frame.seq) == self.mirror.resume:
            self.engine_time = frame.engine_time
        return verdict

    def _took(self, frame: Book, before: int | None) -> None:
        self._batches += frame.batches
        if not frame.batches:
            self._uncounted = frame.seq

    def _counted(self, prev: int, batches: int) -> int:
        return 0 if prev < self._uncounted else batches

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        return super().since(prev, at, self._counted(prev, batches))

    def window_since(self, before: Window, window: Window, prev: int, at: Point, batches: int) -> Shared:
        return super().window_since(before, window, prev, at, self._counted(prev, batches))


class RelayedByOrder(Relayed, ByOrderChannel):
    """An order book order by order. What the other server no longer had is missing here too."""

    def __init__(self, instrument: str, config: Config) -> None:
        super().__init__(instrument)
        self.mirror = self._orders = ByOrderMirror(self.name)
        self.log = ByOrderLog(self.name, self._orders.queues, config.market_by_order_kept, 0)

    def _took(self, frame: MarketByOrder, before: int | None) -> None:
        self.engine_time = frame.engine_time
        if frame.prev is None:
            self.log.restart(self._orders.queues, frame.seq)
        else:
            assert self._orders.frame
            self.log.follow(self._orders.frame, self._orders.queues)


class RelayedTrades(Relayed, TradesChannel):
    """Every trade of an instrument. What the other server no longer had is missing here too, and told as it was told."""

    def __init__(self, instrument: str, config: Config) -> None:
        super().__init__(instrument, config, 0)
        self.mirror = TradesMirror(self.name, kept=0)

    def _took(self, frame: Trades, before: int | None) -> None:
        new = [trade for trade in frame.trades if before is None or trade.seq > before]
        if frame.prev is None and frame.seq != before and (before is None or len(new) == len(frame.trades)):
            self.restore(new[0].seq - 1 if new else frame.seq, [(trade.seq, trade) for trade in new])    # it does not reach back to what is here
        else:
            for trade in new:
                self.add(trade)


class RelayedTicker(Relayed):
    """The latest ticker."""

    def __init__(self, instrument: str) -> None:
        super().__init__(str(ChannelName(TICKER, instrument)))
        self.mirror = TickerMirror(self.name)
        self._told: Ticker
        self._seq = 0

    @property
    def seq(self) -> int:
        return self._seq

    @property
    def phase(self) -> PhaseName:
        """The phase of the instrument."""
        return self._told.phase

    def _took(self, frame: Ticker, before: int | None) -> None:
        told = replace(frame, seq=0, server_time=0)
        if before is None or told != self._told:
            self._told, self._seq = told, frame.seq    # what it says, whenever it says it

    def snapshot(self, at: Point) -> Shared:
        return Shared(replace(self._told, seq=at.seq, server_time=at.now))

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared:
        return self.snapshot(at)


class InstrumentChannels(NamedTuple):
    """The channels of one that every server has."""

    book: RelayedBook
    trades: RelayedTrades
    ticker: RelayedTicker


class RelayedFeed:
    """All channels that a relay has heard of. `public` has those that have anything to tell, `all` also those that wait for their first snapshot.

    `epoch` and `seq` are those of the latest frame.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._instruments: dict[str, InstrumentChannels] = {}
        self.all: dict[str, Relayed] = {}
        self.public: dict[str, Channel] = {}
        self.changed: set[Channel] = set()
        self.epoch = self.seq = 0

    def add(self, name: str) -> None:
        """Take in an instrument's channels, if they are new."""
        if name not in self._instruments:
            instrument = InstrumentChannels(RelayedBook(name, self._config), RelayedTrades(name, self._config), RelayedTicker(name))
            self._instruments[name] = instrument
            self.all |= {channel.name: channel for channel in instrument}
            if self._config.upstream_market_by_order:
                by_order = RelayedByOrder(name, self._config)
                self.all[by_order.name] = by_order

    def apply(self, frame: Frame) -> Verdict:
        """Take in a frame of a known channel; what became of it."""
        channel = self.all[frame.channel]
        verdict = channel.take(frame)
        if verdict in (Verdict.SNAPSHOT, Verdict.APPLIED):
            self.epoch, self.seq = frame.epoch, frame.seq
            self.public[channel.name] = channel
            if channel.heard:
                self.changed.add(channel)
            if isinstance(frame, Trades) and frame.trades:
                self._instruments[parse(channel.name).instrument].book.traded = frame.trades[-1].seq
        return verdict

    def phase_of(self, instrument: str) -> PhaseName | None:
        """The phase that an instrument's ticker tells; None while not all of its channels are here."""
        channels = self._instruments[instrument]
        return channels.ticker.phase if all(channel.name in self.public for channel in channels) else None

    def account_channel(self, kind: str, account: int) -> Channel:
        """There is none."""
        raise Refused(ErrorCode.PUBLIC_ONLY)

    def forget_account(self, account: int) -> None:
        """There is none."""
