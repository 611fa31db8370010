"""The real server, in its own process, with a source that changes one level so many times a second, in one book after the other.

    python -m benchmarks.fanout_server STEPS_PER_S BOOKS [SETTINGS]

SETTINGS of the configuration, as JSON. Prints its port, and the difference of its clock to the monotonic one, as JSON; serves until it is killed.
"""

import asyncio
import json
import sys
import time
from decimal import Decimal
from typing import Any

import uvloop

from engine import Commands, Exchange, Instrument, Side
from stream.server.market_server import MarketServer
from stream.settings.config import Config

LEVELS = 100
MIDDLE = 100_000
SIZE = 1_000


def name_of(index: int) -> str:
    """An instrument's name."""
    return f"STEADY-{index}"


class SteadySource:
    """Books of `LEVELS` orders a side; each step gives one order of one book, in turn, a new size."""

    name = "steady"

    def __init__(self, steps_per_s: int, books: int) -> None:
        self.assets = {"BASE": 0, "QUOTE": 0}
        self.instruments = [Instrument(name_of(i), "BASE", "QUOTE", Decimal(1), Decimal(1)) for i in range(books)]
        self.account_count = 1
        self._period = 10**9 / steps_per_s
        self._steps = 0

    def open(self, exchange: Exchange, accounts: list[int], commands: Commands, time: int = 0) -> None:
        """Place the orders."""
        for asset in self.assets:
            commands.deposit(0, exchange.asset(asset), 1 << 50, time)
        for book in range(len(self.instruments)):
            for i in range(2 * LEVELS):
                side, price = self._place(i)
                commands.place(0, book, side, price, SIZE, client_id=self._id(book, i), time=time)

    def _id(self, book: int, i: int) -> int:
        return 1 + 2 * LEVELS * book + i

    def _place(self, i: int) -> tuple[int, int]:
        side = Side.SELL if i % 2 else Side.BUY
        return side, MIDDLE + (1 + i // 2) * (1 if side else -1)

    def next_time(self) -> int:
        """When the next step is due, in ns."""
        return int(self._steps * self._period)

    def step(self, commands: Commands, time: int) -> None:
        """Append one command."""
        round, book = divmod(self._steps, len(self.instruments))
        turn, i = divmod(round, 2 * LEVELS)
        commands.replace(0, 0, self._place(i)[1], SIZE + 1 + turn % 2, client_id=self._id(book, i), time=time)
        self._steps += 1


async def serve(steps_per_s: int, books: int, settings: dict[str, Any]) -> None:
    """Serve for ever."""
    server = MarketServer(Config(port=0, journal="none", **settings), sources=[SteadySource(steps_per_s, books)])
    await server.start()
    print(json.dumps({"port": server.port, "clock": server.clock.now() - time.monotonic_ns()}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}))
