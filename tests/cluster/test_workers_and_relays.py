"""Workers, a relay of them and a relay of that relay are one market: each proves every book, and a client resumes on any of them with a patch."""

import asyncio
from pathlib import Path

from stream.cli.verify import verify
from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from tests.cluster.test_workers import client_of, serving
from tests.sockets import cut, relaying, run
from tests.waiting import until

VERIFY_S = 1.0
"""Of orders that are watched at each address."""

WORKERS_MET = 6
"""Connections to the workers' port, so that both are met."""


async def trade(client: Client) -> None:
    """Change the book and trade, until cancelled."""
    number = 0
    while True:
        number += 1
        await client.place("BTC-USD", "buy" if number % 3 else "sell", Ticks(90 + number % 17), Lots(1 + number % 5))


def test_workers_and_relays_of_relays_are_verified_and_interchangeable(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        async with serving(tmp_path) as there:
            trader = await client_of(there.port, "trader")
            async with relaying(there) as relay, relaying(relay) as relay_of_relay:
                trading = asyncio.create_task(trade(trader))
                urls = [f"ws://127.0.0.1:{server.port}/v1" for server in (relay, relay_of_relay, *[there] * WORKERS_MET)]
                verified = await asyncio.gather(*(verify(url, VERIFY_S, [], 0, 0, None, lambda: None) for url in urls))
                assert [outcome.problems for outcome in verified] == [[]] * len(urls)
                assert all(outcome.instruments["BTC-USD"]["updates"] > 10 for outcome in verified)

                worker = urls[-1]
                client = Client(worker)
                await client.open()
                book = await client.orderbook("BTC-USD", interval_ms=0)
                await book.changed()
                for url in (*urls[:2], worker):
                    client.url = url
                    connections = client.connections
                    cut(client)
                    await until(lambda before=connections: client.connections > before)
                    await book.changed()
                    assert book.verified
                assert client.resumed.pop(("snapshot", "new")) == 1
                assert all(recovered != "snapshot" for recovered, _ in client.resumed)
                assert sum(client.resumed.values()) == 3
                await client.close()
                trading.cancel()
                await asyncio.gather(trading, return_exceptions=True)
            await trader.close()
    scene()
