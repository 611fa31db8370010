"""Unmodified clients of the venue that follow a book, each as a process of its own: it prints the book at every update id that it shows, as JSON.

    python -m tests.dialects.client_books NAME HTTP WEBSOCKET SECONDS [CERTIFICATE]
"""

import asyncio
import json
import os
import ssl
import sys
import time
from typing import Any

SHOWN = 10
SYMBOL = "ETHUSDT"


def say(id: int, bids: Any, asks: Any) -> None:
    """The best levels, as exact text or as floats."""
    print(json.dumps([id, [[float(price), float(size)] for price, size in bids], [[float(price), float(size)] for price, size in asks]]), flush=True)


async def python_binance(http: str, websocket: str, seconds: float, interval: int | None) -> None:
    """Its depth cache."""
    from binance import AsyncClient, BinanceSocketManager, DepthCacheManager

    AsyncClient.API_URL = f"{http}/api"
    BinanceSocketManager.STREAM_URL = f"{websocket}/"
    client = await AsyncClient.create()
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    async with DepthCacheManager(client, SYMBOL, ws_interval=interval, limit=5000) as manager:
        while loop.time() < end:
            book = await manager.recv()
            say(manager._last_update_id, book.get_bids()[:SHOWN], book.get_asks()[:SHOWN])
    await client.close_connection()


async def ccxt_pro(http: str, websocket: str, seconds: float) -> None:
    """Its order book."""
    import ccxt.pro

    urls = {"public": f"{http}/api/v3", "private": f"{http}/api/v3", "ws": {"spot": f"{websocket}/stream/ws"}}
    venue = ccxt.pro.binance({"urls": {"api": urls}, "options": {"fetchMarkets": {"types": ["spot"]}}})
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        book = await venue.watch_order_book("ETH/USDT")
        say(book["nonce"], book["bids"][:SHOWN], book["asks"][:SHOWN])
    await venue.close()


def unicorn(http: str, websocket: str, seconds: float) -> None:
    """unicorn-binance-websocket-api."""
    from unicorn_binance_websocket_api import BinanceWebSocketApiManager

    manager = BinanceWebSocketApiManager(
        exchange="binance.com", websocket_base_uri=f"{websocket}/", restful_base_uri=f"{http}/", warn_on_update=False, disable_colorama=True,
    )
    manager.create_stream([f"depth{SHOWN}@100ms"], [SYMBOL.lower()], output="dict")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        event = manager.pop_stream_data_from_stream_buffer()
        if event and "data" in event:
            say(event["data"]["lastUpdateId"], event["data"]["bids"], event["data"]["asks"])
        elif not event:
            time.sleep(0.01)
    manager.stop_manager()


def nautilus(http: str, websocket: str, seconds: float) -> None:
    """NautilusTrader's data client."""
    from nautilus_trader.adapters.binance import BINANCE, BinanceDataClientConfig, BinanceLiveDataClientFactory
    from nautilus_trader.common.actor import Actor
    from nautilus_trader.config import InstrumentProviderConfig, LoggingConfig, TradingNodeConfig
    from nautilus_trader.live.node import TradingNode
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.enums import BookType
    from nautilus_trader.model.identifiers import InstrumentId

    instrument = InstrumentId.from_str(f"{SYMBOL}.BINANCE")

    class Follower(Actor):    # type: ignore[misc]
        def on_start(self) -> None:
            self.book = OrderBook(instrument, BookType.L2_MBP)
            self.subscribe_order_book_deltas(instrument, BookType.L2_MBP)

        def on_order_book_deltas(self, deltas: Any) -> None:
            self.book.apply_deltas(deltas)
            sides = (self.book.bids(), self.book.asks())
            say(deltas.sequence, *([(level.price, level.size()) for level in side[:SHOWN]] for side in sides))

    client = BinanceDataClientConfig(
        api_key="none", api_secret="none", base_url_http=http, base_url_ws=websocket,
        instrument_provider=InstrumentProviderConfig(load_ids=frozenset({instrument})),
    )
    node = TradingNode(TradingNodeConfig(logging=LoggingConfig(log_level="ERROR"), data_clients={BINANCE: client}))
    node.trader.add_actor(Follower())
    node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    node.build()
    node.get_event_loop().call_later(seconds, os._exit, 0)
    node.run()


def cryptofeed(http: str, websocket: str, seconds: float, certificate: str) -> None:
    """Its feed handler. It takes TLS only."""
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = certificate
    from cryptofeed import FeedHandler
    from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
    from cryptofeed.defines import L2_BOOK
    from cryptofeed.exchanges import Binance

    context = ssl.create_default_context(cafile=certificate)
    Binance.websocket_endpoints = [WebsocketEndpoint(websocket, options={"ssl": context})]
    Binance.rest_endpoints = [RestEndpoint(http, routes=Routes("/api/v3/exchangeInfo", l2book="/api/v3/depth?symbol={}&limit={}", authentication="/none"))]

    async def tell(book: Any, receipt: float) -> None:
        sides = book.book.to_dict()
        say(book.sequence_number, list(sides["bid"].items())[:SHOWN], list(sides["ask"].items())[:SHOWN])

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    handler = FeedHandler(config={"log": {"disabled": True}, "uvloop": False})
    handler.add_feed(Binance(symbols=["ETH-USDT"], channels=[L2_BOOK], callbacks={L2_BOOK: tell}))
    loop.call_later(seconds, os._exit, 0)
    handler.run(install_signal_handlers=False)


def main(name: str, http: str, websocket: str, seconds: str, certificate: str = "") -> None:
    """Follow a book for so many seconds."""
    match name:
        case "python-binance":
            asyncio.run(python_binance(http, websocket, float(seconds), 100))
        case "python-binance-slow":
            asyncio.run(python_binance(http, websocket, float(seconds), None))
        case "ccxt":
            asyncio.run(ccxt_pro(http, websocket, float(seconds)))
        case "unicorn":
            unicorn(http, websocket, float(seconds))
        case "nautilus":
            nautilus(http, websocket, float(seconds))
        case "cryptofeed":
            cryptofeed(http, websocket, float(seconds), certificate)


if __name__ == "__main__":
    main(*sys.argv[1:])
