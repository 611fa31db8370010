"""How many events of a book by orders a second each format takes: `python -m benchmarks.export`. The batches are a simulated market's, in memory."""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from engine import Commands, Exchange
from stream.export.exporter import Exporter
from stream.export.journal_source import terms_in
from stream.export.order_events import CLEAR, MOVE, OrderEvent, snapshot_of
from stream.export.writers import FORMATS, writer_of
from stream.feed.channel import Point
from stream.feed.feed import Feed
from stream.feed.public_channels import FollowedByOrder
from stream.settings.config import Config
from stream.sources.simulated import PROFILES, SimulatedSource
from stream.wire.frames import OrderBatch


class Nothing:
    """A writer of nothing, for what the events alone cost."""

    whole = frozenset({MOVE, CLEAR})

    def write(self, event: OrderEvent, queues: object) -> None:
        """Forget it."""

    def close(self) -> None:
        """There is no file."""


def record(commands: int) -> tuple[Exchange, list[OrderBatch]]:
    """A snapshot of a book, and what so many commands did to it."""
    source, exchange, group = SimulatedSource(1, profiles=PROFILES[:1]), Exchange(), Commands()
    for name, decimals in source.assets.items():
        exchange.add_asset(name, decimals)
    exchange.add_instrument(source.instruments[0])
    source.open(exchange, [exchange.open_account() for _ in range(source.account_count)], group)
    exchange.execute(group)
    feed = Feed(exchange, msgspec.structs.replace(Config(), market_by_order_kept=1 << 24, market_by_order_always=True))
    channel = feed.public[f"market_by_order:{source.instruments[0].name}"]
    assert isinstance(channel, FollowedByOrder)
    start = exchange.seq
    snapshot = snapshot_of(channel.log.queues, start, 0)
    for at in range(1, commands + 1):
        group = Commands()
        source.step(group, source.next_time())
        exchange.execute(group)
        feed.apply(at * 1_000_000)
    frame = channel.since(start, Point(1, exchange.seq, 0, 0))
    assert frame
    return exchange, [snapshot, *frame.message.batches]    # type: ignore[attr-defined]


def main() -> None:
    """Print a line for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=200_000, help="how many commands the market has (default: %(default)s)")
    parser.add_argument("--levels", type=int, default=10, help="LOBSTER's levels (default: %(default)s)")
    arguments = parser.parse_args()
    exchange, batches = record(arguments.commands)
    terms = terms_in(exchange, PROFILES[0].instrument.name)
    with TemporaryDirectory() as folder:
        for suffix in ("", *FORMATS):
            exporter = Exporter(writer_of(Path(folder, f"book{suffix}"), terms, arguments.levels) if suffix else Nothing())
            began = time.perf_counter()
            for index, batch in enumerate(batches):
                exporter.take(batch, index == 0)
            exporter.close()
            seconds = time.perf_counter() - began
            size = sum(path.stat().st_size for path in Path(folder).glob(f"book*{suffix}")) if suffix else 0
            rate, bytes_each = exporter.events / seconds, size / exporter.events
            print(f"{suffix or 'events alone':14}{exporter.events:10,} events{rate:12,.0f} a second{bytes_each:8.1f} bytes an event")


if __name__ == "__main__":
    main()
