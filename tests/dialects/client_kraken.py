"""Unmodified python-kraken-sdk follows a book, by levels with its own checksums, and by orders. After each message it prints the best ten prices.

    python -m tests.dialects.client_kraken PAIR HTTP WEBSOCKET KEY SECRET SECONDS
"""

import asyncio
import json
import sys
from decimal import Decimal
from typing import Any

from kraken.base_api import SpotClient
from kraken.spot import Market, SpotOrderBookClient, SpotWSClient

from tests.dialects.kraken_market import SHOWN, OrdersByLevel


def say(*what: object) -> None:
    """Tell the test."""
    print(json.dumps(what), flush=True)


class Books(SpotOrderBookClient):    # type: ignore[misc]
    """The SDK's own book. If a checksum differs, it says so, and subscribes again."""

    async def on_book_update(self, pair: str, message: dict[str, Any]) -> None:
        if "error" in message:
            say("error", message["error"])
        else:
            say("book", *([[price, size] for price, (size, _) in self.get(pair)[side].items()] for side in ("bid", "ask")))


class Orders(SpotWSClient):    # type: ignore[misc]
    """The SDK's connection for orders. It keeps no book of them, so one is kept beside it, with its checksums."""

    def __init__(self, pair: str, **named: Any) -> None:
        super().__init__(**named)
        self.mirror = OrdersByLevel(SHOWN)
        terms = Market().get_asset_pairs(pair=pair)[pair]
        self.places = {"limit_price": terms["pair_decimals"], "order_qty": terms["lot_decimals"]}

    async def on_message(self, message: dict[str, Any]) -> None:
        if message.get("channel") == "level3":
            for order in message["data"][0]["bids"] + message["data"][0]["asks"]:    # the SDK has read floats
                order |= {name: Decimal(f"{order[name]:.{places}f}") for name, places in self.places.items()}
            self.mirror.hear(message)
            say("level3", *([[str(price), [str(each["order_qty"]) for each in queue.values()]] for price, queue in self.mirror.sides[name].items()]
                            for name in ("bids", "asks")))
        elif message.get("success") is False:
            say("error", message["error"])


async def main(pair: str, http: str, websocket: str, key: str, secret: str, seconds: str) -> None:
    """Follow for so many seconds."""
    SpotClient.URL = http
    SpotWSClient.WS_URL = SpotWSClient.AUTH_WS_URL = websocket
    books, orders = Books(depth=SHOWN), Orders(pair, key=key, secret=secret, no_public=True)
    await books.start()
    await orders.start()
    await books.add_book([pair])
    await orders.subscribe({"channel": "level3", "symbol": [pair], "depth": SHOWN})
    await asyncio.sleep(float(seconds))
    await books.close()
    await orders.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
