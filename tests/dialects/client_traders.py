"""Unmodified clients of the venue that trade, each as a process of its own: it prints what it was told as JSON, a line at a time.

    python -m tests.dialects.client_traders NAME HTTP WEBSOCKET KEY SECRET

It places an order, hears of a fill, cancels the rest, is refused, and looks at its balance. Then it waits for a line, because the server is killed, and
trades again by its own means.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

SYMBOL, UNIFIED = "BTCUSD", "BTC/USD"
PRICE, SIZE = 100, 1
TRIES = 60


def say(step: str, *told: object) -> None:
    """Tell a step."""
    print(json.dumps([step, *told]), flush=True)


async def go_on() -> None:
    """Wait for a line."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def again(do: Callable[[], Awaitable[Any]]) -> Any:
    """Do something as often as it takes, as a bot does whose venue is away."""
    for _ in range(TRIES - 1):
        try:
            return await do()
        except Exception as error:
            print(type(error).__name__, error, file=sys.stderr)
            await asyncio.sleep(0.5)
    return await do()


async def ccxt_pro(http: str, websocket: str, key: str, secret: str) -> None:
    """ccxt and ccxt.pro."""
    import ccxt.pro

    urls = {
        "public": f"{http}/api/v3", "private": f"{http}/api/v3", "sapi": f"{http}/sapi/v1",
        "ws": {"spot": f"{websocket}/stream/ws", "ws-api": {"spot": f"{websocket}/ws-api/v3"}},
    }
    venue = ccxt.pro.binance({"apiKey": key, "secret": secret, "urls": {"api": urls}, "options": {"fetchMarkets": {"types": ["spot"]}}})
    await venue.load_markets()
    told: asyncio.Queue[Any] = asyncio.Queue()

    async def watch() -> None:
        while True:
            for order in await venue.watch_orders(UNIFIED):
                told.put_nowait((order["status"], order["filled"], order["clientOrderId"]))

    async def event() -> Any:
        return await told.get()

    watching = asyncio.create_task(watch())
    while not venue.clients or not any("ws-api" in url and client.subscriptions for url, client in venue.clients.items()):
        await asyncio.sleep(0.05)
    await venue.fetch_balance()
    order = await venue.create_order(UNIFIED, "limit", "buy", SIZE, PRICE, {"clientOrderId": "first-of-ccxt"})
    say("placed", order["status"], order["clientOrderId"])
    say("event", *await event())
    say("event", *await event())
    say("open", [[each["clientOrderId"], each["filled"]] for each in await venue.fetch_open_orders(UNIFIED)])
    say("cancelled", (await venue.cancel_order(order["id"], UNIFIED))["status"])
    say("event", *await event())
    try:
        await venue.create_order(UNIFIED, "limit", "buy", 10**6, PRICE)
    except ccxt.InsufficientFunds as refused:
        say("refused", str(refused))
    balance = await venue.fetch_balance()
    say("balance", balance["BTC"]["total"], balance["USD"]["total"])
    await go_on()
    watching.cancel()
    order = await again(lambda: venue.create_order(UNIFIED, "limit", "buy", SIZE, PRICE, {"clientOrderId": "second-of-ccxt"}))
    found = await venue.fetch_order(order["id"], UNIFIED)
    say("again", found["status"], found["clientOrderId"])
    listening = asyncio.create_task(again(lambda: venue.watch_orders(UNIFIED)))
    while not any("ws-api" in url and client.subscriptions for url, client in venue.clients.items()):
        await asyncio.sleep(0.05)
    await venue.fetch_balance()    # which is answered behind the subscription
    await asyncio.sleep(1)
    await venue.cancel_order(order["id"], UNIFIED)
    say("event after", (await listening)[-1]["clientOrderId"])
    await venue.close()


async def python_binance(http: str, websocket: str, key: str, secret: str) -> None:
    """python-binance."""
    from binance import AsyncClient, BinanceSocketManager
    from binance.exceptions import BinanceAPIException

    AsyncClient.API_URL = f"{http}/api"
    AsyncClient.WS_API_URL = f"{websocket}/ws-api/v3"
    BinanceSocketManager.STREAM_URL = f"{websocket}/"
    client = await AsyncClient.create(key, secret)
    manager = BinanceSocketManager(client)

    async def event(socket: Any) -> Any:
        while (told := await socket.recv()).get("e") != "executionReport":
            pass
        return {"NEW": "open", "PARTIALLY_FILLED": "open", "CANCELED": "canceled"}[told["X"]], float(told["z"]), told["C"] or told["c"]

    limit = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": str(SIZE), "price": str(PRICE)}
    async with manager.user_socket() as socket:
        order = await client.create_order(**limit, newClientOrderId="first-of-python-binance")
        say("placed", {"NEW": "open"}[order["status"]], order["clientOrderId"])
        say("event", *await event(socket))
        say("event", *await event(socket))
        say("open", [[each["clientOrderId"], float(each["executedQty"])] for each in await client.get_open_orders(symbol=SYMBOL)])
        say("cancelled", {"CANCELED": "canceled"}[(await client.cancel_order(symbol=SYMBOL, orderId=order["orderId"]))["status"]])
        say("event", *await event(socket))
        try:
            await client.create_order(**limit | {"quantity": "1000000"})
        except BinanceAPIException as refused:
            say("refused", f"{refused.code} {refused.message}")
        amounts = []
        for asset in ("BTC", "USD"):
            balance = await client.get_asset_balance(asset)
            amounts.append(float(balance["free"]) + float(balance["locked"]))
    say("balance", *amounts)
    await go_on()
    order = await again(lambda: client.create_order(**limit, newClientOrderId="second-of-python-binance"))
    found = await client.get_order(symbol=SYMBOL, orderId=order["orderId"])
    say("again", {"NEW": "open"}[found["status"]], found["clientOrderId"])
    client = await AsyncClient.create(key, secret)
    async with BinanceSocketManager(client).user_socket() as socket:
        await client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])
        say("event after", (await event(socket))[2])
    await client.close_connection()


async def official(http: str, websocket: str, key: str, secret: str) -> None:
    """binance-sdk-spot."""
    from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketAPI
    from binance_common.errors import BadRequestError
    from binance_sdk_spot.rest_api.models import NewOrderSideEnum, NewOrderTimeInForceEnum, NewOrderTypeEnum
    from binance_sdk_spot.spot import Spot

    spot = Spot(
        config_rest_api=ConfigurationRestAPI(api_key=key, api_secret=secret, base_path=http, retries=0),
        config_ws_api=ConfigurationWebSocketAPI(api_key=key, api_secret=secret, stream_url=f"{websocket}/ws-api/v3", reconnect_delay=200),
    )
    told: asyncio.Queue[Any] = asyncio.Queue()

    def place(text: str, size: float = SIZE) -> Any:
        return spot.rest_api.new_order(
            symbol=SYMBOL, side=NewOrderSideEnum.BUY, type=NewOrderTypeEnum.LIMIT, time_in_force=NewOrderTimeInForceEnum.GTC, quantity=size, price=PRICE,
            new_client_order_id=text,
        ).data()

    async def follow() -> Any:
        connection = await spot.websocket_api.create_connection()
        stream = (await connection.user_data_stream_subscribe_signature()).stream
        stream.on("message", told.put_nowait)
        return connection

    async def event() -> Any:
        while True:
            each = (await told.get()).to_dict()
            if "x" in each:    # it leaves out which event it is
                return {"NEW": "open", "PARTIALLY_FILLED": "open", "CANCELED": "canceled"}[each["X"]], float(each["z"]), each["C"] or each["c"]

    connection = await follow()
    order = place("first-of-official")
    say("placed", {"NEW": "open"}[order.status], order.client_order_id)
    say("event", *await event())
    say("event", *await event())
    say("open", [[each.client_order_id, float(each.executed_qty)] for each in spot.rest_api.get_open_orders(symbol=SYMBOL).data()])
    say("cancelled", {"CANCELED": "canceled"}[spot.rest_api.delete_order(symbol=SYMBOL, order_id=order.order_id).data().status])
    say("event", *await event())
    try:
        place("too-much", 10**6)
    except BadRequestError as refused:
        say("refused", str(refused))
    balances = {each.asset: float(each.free) + float(each.locked) for each in spot.rest_api.get_account().data().balances}
    say("balance", balances["BTC"], balances["USD"])
    await go_on()

    async def second() -> Any:
        return place("second-of-official")

    order = await again(second)
    found = spot.rest_api.get_order(symbol=SYMBOL, order_id=order.order_id).data()
    say("again", {"NEW": "open"}[found.status], found.client_order_id)
    while not told.empty():    # of before
        told.get_nowait()
    connection = await again(follow)
    spot.rest_api.delete_order(symbol=SYMBOL, order_id=order.order_id)
    say("event after", (await event())[2])
    await connection.close_connection(close_session=True)


TRADERS = {"ccxt": ccxt_pro, "python-binance": python_binance, "official": official}


def main(name: str, http: str, websocket: str, key: str, secret: str) -> None:
    """Trade."""
    asyncio.run(TRADERS[name](http, websocket, key, secret))


if __name__ == "__main__":
    main(*sys.argv[1:])
