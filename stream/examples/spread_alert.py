"""Ring a bell while a spread is wide. It listens to several servers of a market at once, so that it can do without any one of them.

    python -m stream.examples.spread_alert BTC-USDT --basis-points 5 --url ws://127.0.0.1:8080/v1 --url ws://127.0.0.1:8081/v1
"""

import argparse
import asyncio

from stream import RedundantFeed


async def watch(urls: list[str], instrument: str, basis_points: int, count: int) -> None:
    """Tell so many times that the spread became wide, or narrow again; 0 for no end."""
    async with RedundantFeed(urls) as feed:
        wide = False
        async for ticker in await feed.ticker(instrument, interval_ms=0):
            spread = ticker.ask - ticker.bid
            if not ticker.bid or not ticker.ask or wide == (spread * 20_000 > basis_points * (ticker.bid + ticker.ask)):
                continue
            wide = not wide
            verdict = "wide \a" if wide else "narrow"
            print(f"{instrument}: {spread} between {ticker.bid} and {ticker.ask}, {verdict}", flush=True)
            count -= 1
            if count == 0:
                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instrument")
    parser.add_argument("--url", action="append", help="may be given several times")
    parser.add_argument("--basis-points", type=int, default=5)
    parser.add_argument("--count", type=int, default=0, help="alerts until the end")
    given = parser.parse_args()
    asyncio.run(watch(given.url or ["ws://127.0.0.1:8080/v1"], given.instrument, given.basis_points, given.count))
