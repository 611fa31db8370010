"""Both clients and a relay on the worst network there is: `python -m tests.fault.bad_network --seconds 3600 --seed 1`.

A Python client, a JavaScript client in node and a relay each follow a thousand channels of one server through a proxy of their own, which gives every
connection any of all faults, and cuts those that live on now and then. Orders go on all the time. Then the network is mended: every book,
ticker, trade and own order of each has to be the server's within two minutes, no client may have given up, and nothing may have been raised unseen.
"""

import argparse
import asyncio
import json
import random
import resource
import shutil
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvloop

from stream import Client, ClientError, ConnectionLost, Lots, RequestRefused, Ticks, connect
from stream.client.live import LiveBook, LiveOrders, LiveTicker, LiveTrades
from stream.fault import FaultProxy, kinds, scripted, seeded
from stream.server.market_server import MarketServer
from stream.settings.config import InstrumentConfig
from stream.wire.mirror import Verdict
from tests.setting import token
from tests.sockets import relaying, serving
from tests.waiting import until

INSTRUMENTS = 333
HEALING_S = 120.0
CUT_S = 20.0
"""A connection that its fault lets live is cut after so long, at the mean."""

HELD_BACK = {"pieces": "pieces:64"}
"""A write for every byte of a thousand channels would measure this machine, and not a client."""

NODE = shutil.which("node")
NAMES = [f"C{number:03d}-USD" for number in range(INSTRUMENTS)]
PUBLIC = [f"{kind}:{name}" for name in NAMES for kind in ("orderbook", "trades", "ticker")]
CHANNELS = [*PUBLIC, "orders"]

State = dict[str, Any]
"""What a side has of each channel, in a form that all sides share."""


def market(**changes: Any) -> Any:
    """The server: as it comes, but for its instruments and accounts."""
    assets = {f"C{number:03d}": 8 for number in range(INSTRUMENTS)}
    instruments = tuple(InstrumentConfig(name, name[:4], "USD", Decimal("0.01"), Decimal("0.0001")) for name in NAMES)
    usual = {"messages_burst": 200, "errors_max": 20, "heartbeat_ms": 2000, "tombstones_max": 16384, "trades_kept": 1000, "account_events_kept": 2000}
    deposit = dict.fromkeys(assets, "1000") | {"USD": "1000000"}
    return serving(assets=assets | {"USD": 6}, instruments=instruments, deposit=deposit, **usual | changes)


def subject_token(server: MarketServer, subject: str) -> str:
    return token(subject, server.clock.now(), "market account trade")


async def trade(server: MarketServer, chance: random.Random, rate: float, stop: asyncio.Event) -> int:
    """Place and cancel orders on an honest line, as who the clients listen as; how many."""
    count = 0
    async with connect(f"ws://127.0.0.1:{server.port}/v1", lambda: subject_token(server, "alice")) as alice, \
            connect(f"ws://127.0.0.1:{server.port}/v1", lambda: subject_token(server, "bob")) as bob:
        await alice.instruments()
        await bob.instruments()
        orders: list[int] = []
        while not stop.is_set():
            name, client = chance.choice(NAMES), chance.choice((alice, bob))
            side, price = chance.choice(("buy", "sell")), 1000 + chance.randrange(-20, 20)
            victim = orders.pop(chance.randrange(len(orders))) if len(orders) > 300 else 0
            try:
                done = await client.place(name, side, Ticks(price), Lots(chance.randint(1, 50)))
                count += 1
                if client is alice and done.remaining_lots:
                    orders.append(done.order)
                if victim:
                    await alice.cancel(victim)
            except RequestRefused:    # it was filled meanwhile
                pass
            except ConnectionLost:    # the machine stood still for so long that the server gave the line up
                await client.connected()
            await asyncio.sleep(chance.expovariate(rate))
    return count


class Python:
    """The Python client."""

    name = "Python client"

    def __init__(self, url: str, server: MarketServer) -> None:
        self._server = server
        self.client = Client(url, lambda: subject_token(server, "alice"))
        self.lost = Counter[str]()
        self.client.on_connection(self._told)

    def _told(self, error: ClientError | None) -> None:
        if error:
            self.lost[type(error).__name__] += 1

    async def start(self) -> None:
        await opened(self.client)
        await self.client.subscribe(CHANNELS, 0, 100)

    async def state(self) -> State:
        return {channel: state_of(live) for channel, live in self.client.live.items()}

    async def figures(self) -> dict[str, Any]:
        counts = Counter[str]()
        for live in self.client.live.values():
            counts.update({verdict.name.lower(): live.mirror.counts[verdict] for verdict in Verdict})
        resumed = Counter[str]()
        for (recovered, _), count in self.client.resumed.items():
            resumed[recovered] += count
        return {"connections": self.client.connections, "recovered": dict(resumed), "frames": dict(counts), "lost": self.lost.total()}

    async def stop(self) -> None:
        await self.client.close()


class JavaScript:
    """The JavaScript client in node, which answers what it is asked by lines."""

    name = "JavaScript client"

    def __init__(self, url: str, server: MarketServer) -> None:
        self._url = url
        self._server = server
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        assert NODE
        script = Path(__file__).with_suffix(".mjs")
        self._process = await asyncio.create_subprocess_exec(
            NODE, "--experimental-websocket", "--no-warnings", str(script), self._url, subject_token(self._server, "alice"), json.dumps(CHANNELS),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 26,
        )
        assert await self._line() == "ready"

    async def _line(self) -> Any:
        assert self._process.stdout
        line = await self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the JavaScript client has ended with {await self._process.wait()}")
        return json.loads(line)

    async def _ask(self, what: str) -> Any:
        assert self._process.stdin
        async with self._lock:
            self._process.stdin.write(what.encode() + b"\n")
            return await self._line()

    async def state(self) -> State:
        return dict(await self._ask("state"))

    async def figures(self) -> dict[str, Any]:
        return dict(await self._ask("figures"))

    async def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


async def opened(client: Client) -> None:
    """Connect, and once more where the machine stands still for so long that an honest line is given up."""
    while True:
        try:
            await client.open()
            return
        except ClientError:
            await asyncio.sleep(1)


def state_of(live: Any) -> Any:
    """What a channel's copy holds."""
    mirror = live.mirror
    if isinstance(live, LiveBook):
        return str(mirror.levels.digest)
    if isinstance(live, LiveTrades):
        return [[trade.seq, trade.price, trade.size] for trade in mirror.latest][-20:]
    if isinstance(live, LiveTicker):
        frame = mirror.frame
        return frame and [frame.last, frame.bid, frame.bid_size, frame.ask, frame.ask_size, frame.trades]
    assert isinstance(live, LiveOrders)
    return sorted([order.order, order.remaining] for order in mirror.open.values())


async def truth(server: MarketServer) -> State:
    """What an honest client has of every channel, once it has heard of each."""
    client = Python(f"ws://127.0.0.1:{server.port}/v1", server)
    await client.start()
    try:
        await until(lambda: all(live.mirror.frame is not None for live in client.client.live.values()))
        state = await client.state()
    finally:
        await client.stop()
    for name in NAMES:
        assert state[f"orderbook:{name}"] == str(server.market.exchange.book(name).levels.digest)
    return state


def differences(state: State, expected: State) -> list[str]:
    """The channels of which a side has something else, or nothing."""
    return [channel for channel in expected if state.get(channel, "nothing") != expected[channel]]


async def campaign(seconds: float, seed: int, rate: float, tell: Any) -> list[str]:
    """Run it; what was wrong."""
    chance, problems, unseen = random.Random(seed), [], list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(f"{context.get('message')}: {context.get('exception')!r}"))
    specs = [HELD_BACK.get(name, name) for name in kinds()]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(market())
        to = f"ws://127.0.0.1:{server.port}/v1"
        proxies = [await stack.enter_async_context(FaultProxy(to, scripted("pass"))) for _ in range(3)]
        relay = await stack.enter_async_context(relaying(server, upstream=proxies[2].url, heartbeat_ms=2000))
        sides: list[Python | JavaScript] = [Python(proxies[0].url, server)]
        if NODE:
            sides.append(JavaScript(proxies[1].url, server))
        relayed = connect(f"ws://127.0.0.1:{relay.port}/v1")
        stack.push_async_callback(relayed.close)
        await opened(relayed)
        for side in sides:
            await side.start()
        await relayed.subscribe(PUBLIC, 0, 100)
        stop = asyncio.Event()
        trading = asyncio.create_task(trade(server, chance, rate, stop))
        for number, proxy in enumerate(proxies):
            proxy.follow(seeded(seed * 3 + number, specs))
        cutting = asyncio.create_task(cut_now_and_then(proxies, chance))
        began, told = time.monotonic(), 0.0
        while (now := time.monotonic() - began) < seconds and not trading.done() and not cutting.done():
            await asyncio.sleep(0.5)
            if now - told > 60:
                told = now
                tell(f"{now:5.0f} s, connections {[proxy.connections for proxy in proxies]}")
        assert not cutting.done(), cutting.exception()
        cutting.cancel()
        stop.set()
        orders = await trading
        for proxy in proxies:
            proxy.follow(scripted("pass"))
            proxy.cut()
        mended, expected = time.monotonic(), None
        while expected is None:
            try:
                expected = await truth(server)
            except ClientError as error:    # a machine that stands still loses honest lines, too
                tell(f"the honest client has to try again: {error}")
        judged = time.monotonic()
        public = {channel: expected[channel] for channel in PUBLIC}
        wrong: dict[str, list[str]] = {}
        healed: dict[str, float] = {}
        while time.monotonic() - judged < HEALING_S:
            found = {side.name: differences(await side.state(), expected) for side in sides}
            found["relay"] = differences({channel: state_of(live) for channel, live in relayed.live.items()}, public)
            for name, channels in found.items():
                if not channels:
                    healed.setdefault(name, time.monotonic() - mended)
            wrong = {name: channels for name, channels in found.items() if channels}
            if not wrong:
                break
            await asyncio.sleep(0.5)
        problems += [f"{name}: {len(channels)} channels are not right, such as {channels[:3]}" for name, channels in wrong.items()]
        for side, proxy in zip(sides, proxies, strict=False):
            tell(f"{side.name}: {proxy.connections} connections, healed after {healed.get(side.name, -1):.1f} s, {json.dumps(await side.figures())}")
        tell(f"relay: {proxies[2].connections} connections, healed after {healed.get('relay', -1):.1f} s")
        seen = sum((proxy.seen for proxy in proxies), Counter[str]())
        tell(f"{orders} orders in {mended - began:.0f} s; faults: {dict(seen.most_common())}")
        for side in sides:
            await side.stop()
        most = [resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        tell(f"peak memory {most[0]} MB, of node {most[1]} MB")
    problems += [f"raised unseen: {what}" for what in unseen[:10]]
    return problems


async def cut_now_and_then(proxies: list[FaultProxy], chance: random.Random) -> None:
    """Cut one of the three lines after another."""
    while True:
        await asyncio.sleep(chance.expovariate(len(proxies) / CUT_S))
        chance.choice(proxies).cut()


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=50, help="orders a second")
    arguments = parser.parse_args()

    def tell(text: str) -> None:
        print(text, flush=True)

    tell(f"seed {arguments.seed}, {len(CHANNELS)} channels, {arguments.seconds:g} s" + ("" if NODE else "; node is not installed, so without its client"))
    problems = uvloop.run(campaign(arguments.seconds, arguments.seed, arguments.rate, tell))
    for problem in problems:
        tell(f"WRONG: {problem}")
    tell("all is right in the end" if not problems else f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
