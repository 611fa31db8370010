"""A signal from many books on one connection: in which book does much more money wait on one side than on the other?

    python -m stream.examples.imbalance --levels 10 --percent 60
"""

import argparse
import asyncio
from collections.abc import AsyncIterator

from stream import changes, connect


async def signals(url: str, levels: int, percent: int) -> AsyncIterator[tuple[str, int]]:
    """Each instrument whose imbalance begins to pass so many percent, with it: from -100, only asks, to 100, only bids."""
    async with connect(url) as client:
        books = await client.orderbooks(await client.instruments(), interval_ms=100)
        beyond: set[str] = set()
        async for book in changes(*books):
            bids, asks = (sum(level.size_lots for level in side) for side in book.levels(levels))
            imbalance = 100 * (bids - asks) // (bids + asks) if bids + asks else 0
            if abs(imbalance) < percent:
                beyond.discard(book.channel)
            elif book.channel not in beyond:
                beyond.add(book.channel)
                yield book.channel.partition(":")[2], imbalance


async def main(url: str, levels: int, percent: int, count: int) -> None:
    """Print so many signals, 0 for no end."""
    async for instrument, imbalance in signals(url, levels, percent):
        print(f"{instrument} {imbalance:+d} %", flush=True)
        count -= 1
        if count == 0:
            return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/v1")
    parser.add_argument("--levels", type=int, default=10)
    parser.add_argument("--percent", type=int, default=60)
    parser.add_argument("--count", type=int, default=0, help="signals until the end")
    given = parser.parse_args()
    asyncio.run(main(given.url, given.levels, given.percent, given.count))
