"""Five minutes of Binance's BTC-USDT of 2024-08-08, as a live market that never ends."""

import gzip
from collections.abc import Iterator
from pathlib import Path

from engine import Commands, Exchange, Instrument
from stream.replay.binance import BTC_USDT, DECIMALS, Best, Depth, RecordedEntry, RecordedFlow, RecordedTrade, entries
from stream.sources import refill

RECORDING = Path(__file__).with_name("binance_spot_btcusdt_20240808.gz")
LOOP_GAP_NS = 100_000_000
"""From the last entry of the recording to its first: one period of the depth stream."""

FUNDS = {"BTC": 1_000_000 * 10**8, "USDT": 5_000_000_000 * 10**8}
"""What the maker and the taker each have, made good once a loop: much more than a loop trades and the recorded book holds."""


class RecordedSource:
    """The recorded depth as orders of a maker account, and the recorded trades as those of a taker. At its end, it goes back to its beginning by differences.

    After each depth update the maker's part of the book is the recorded one. The file is read while it streams: a loop costs its
    entries, and memory does not grow. `speed` 2.0 is twice as fast as it was.
    """

    name = "recorded"

    def __init__(self, speed: float = 1.0, path: Path = RECORDING) -> None:
        if not speed > 0:
            raise ValueError(f"speed {speed}: expected more than 0")
        self.assets: dict[str, int] = dict(DECIMALS)
        self.instruments: list[Instrument] = [BTC_USDT]
        self.accounts: list[int] = []
        self.account_count = 2
        self.speed = speed
        self.loops = 0
        self._path = path
        self._entries = self._loop()
        self._time, self._entry = next(self._entries)

    def open(self, exchange: Exchange, accounts: list[int], commands: Commands, time: int = 0) -> None:
        """Fund the maker's and the taker's account and place the recording's snapshot."""
        self._exchange = exchange
        self._funds = {exchange.asset(name): amount for name, amount in FUNDS.items()}
        self.accounts = accounts
        self.flow = RecordedFlow(exchange, exchange.book(BTC_USDT.name), *accounts)
        self.step(commands, time)

    def next_time(self) -> int:
        """When the next depth update or trade is due, in ns since the start."""
        return int(self._time / self.speed)

    def step(self, commands: Commands, time: int) -> None:
        """Append the commands of one depth update or trade."""
        match self._entry:
            case Depth() as depth:
                if depth.snapshot:
                    for account in self.accounts:
                        refill(commands, self._exchange, account, self._funds, time)
                self.flow.follow(depth, commands, time)
            case RecordedTrade() as trade:
                self.flow.take(trade, commands, time)
        self._time, self._entry = next(self._entries)

    def _loop(self) -> Iterator[tuple[int, RecordedEntry]]:
        """The recording again and again, with times in ns since the start of the first."""
        offset = 0
        while True:
            first = last = None
            with gzip.open(self._path) as lines:
                for time, entry in entries(lines):
                    first = time if first is None else first
                    last = time
                    if not isinstance(entry, Best):
                        yield offset + time - first, entry
            if first is None or last is None:
                raise ValueError(f"{self._path}: expected a recording with a snapshot, but there is none in it")
            offset += last - first + LOOP_GAP_NS
            self.loops += 1
