"""Print what every book is, again and again, so that `deltabook judge` can judge this client.

    python -m stream.examples.statements --url ws://127.0.0.1:8081/v1 | deltabook judge ws://127.0.0.1:8080/v1
"""

import argparse
import asyncio
import json
import sys

from stream import changes, connect
from stream.client.live import LiveBook, LiveByOrder


async def state(url: str) -> None:
    """Print a line of JSON whenever a book has changed, until the reader is gone."""
    async with connect(url) as client:
        instruments = list(await client.instruments())
        books: list[LiveBook | LiveByOrder] = [*await client.orderbooks(instruments, interval_ms=100)]
        books += [await client.market_by_order(instrument) for instrument in instruments]
        async for book in changes(*books):
            if book.verified:
                print(json.dumps({"channel": book.channel, "epoch": book.mirror.epoch, "seq": book.seq, "digest": str(book.digest)}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/v1")
    try:
        asyncio.run(state(parser.parse_args().url))
    except BrokenPipeError:
        sys.stderr.close()    # or Python complains that the rest cannot be written
