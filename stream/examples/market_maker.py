"""A very simple market maker: it has a quote on each side of the mid price, and moves them when the mid price moves.

    python -m stream.examples.market_maker BTC-USDT --token $(deltabook token maker)

The server cancels its orders whenever the connection is lost. It does not look at its position: never use it with real money.
"""

import argparse
import asyncio

from stream import ConnectionLost, Gap, RequestRefused, Ticks, connect
from stream.client.readings import Orders
from stream.client.requests import Side

DIRECTIONS: dict[Side, int] = {"buy": -1, "sell": 1}


def tell_fills(message: Orders | Gap) -> None:
    """Say what was traded."""
    for update in message.orders if isinstance(message, Orders) else ():
        if update.event == "filled":
            print(f"{update.side} {update.fill_size} at {update.fill_price} as {update.liquidity}", flush=True)


async def make(url: str, token: str, instrument: str, reach: int, size: str, moves: int) -> None:
    """Quote a size so many ticks from the middle, until the quotes have been moved so often; 0 for no end."""
    async with connect(url, token) as client:
        orders, book = await client.orders(), await client.orderbook(instrument, depth=5, interval_ms=100)
        orders.on(tell_fills)
        quotes: dict[Side, tuple[int, int]] = {}    # the order and its price, in ticks
        connection = moved = 0
        async for _ in book:
            if not book.best_bid or not book.best_ask:
                continue
            middle = (book.best_bid.price_ticks + book.best_ask.price_ticks) // 2
            try:
                if connection != client.connections:
                    await client.cancel_on_disconnect("connection")
                    connection = client.connections
                for side, direction in DIRECTIONS.items():
                    order, price = quotes.pop(side, (0, 0))
                    wanted = middle + direction * reach
                    if order not in orders.mirror.open:
                        order = (await client.place(instrument, side, Ticks(wanted), size, post_only=True)).order
                    elif abs(wanted - price) > reach // 4:
                        await client.replace(order, Ticks(wanted), size, instrument=instrument)
                        moved += 1
                    else:
                        wanted = price
                    quotes[side] = order, wanted
            except (RequestRefused, ConnectionLost) as error:
                print(f"not quoted: {error}", flush=True)
            if moves and moved >= moves:
                print(f"{moved} moves, {await client.cancel_all(instrument)} quotes cancelled")
                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instrument")
    parser.add_argument("--token", required=True)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/v1")
    parser.add_argument("--reach", type=int, default=20, help="ticks from the middle")
    parser.add_argument("--size", default="0.01", help="the size of a quote")
    parser.add_argument("--moves", type=int, default=0, help="moves of a quote until the end")
    given = parser.parse_args()
    asyncio.run(make(given.url, given.token, given.instrument, given.reach, given.size, given.moves))
