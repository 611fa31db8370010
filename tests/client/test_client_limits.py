"""What the clients send fits what the server takes, with as many channels as a connection may have, however small that is."""

import argparse
import asyncio
from typing import Any

import msgspec
import pytest

from stream import Client, ClientError, Lots, Ticks, connect
from stream.cli.judge import judge
from stream.cli.load import add_arguments as add_load_arguments
from stream.cli.load import plan_of
from stream.cli.verify import verify
from stream.client.allowance import Allowance, cost_of
from stream.harness.load_client import LoadClient, ServerClock
from stream.harness.plan import PlannedClient, Role
from stream.harness.tally import Tally
from stream.server.market_server import MarketServer
from stream.settings.config import InstrumentConfig
from stream.wire.codec import MSGPACK
from stream.wire.messages import Subscribe, Welcome
from stream.wire.mirror import Verdict
from tests.faulty import NoDelay
from tests.setting import CONFIG, token
from tests.sockets import cut, relaying, run, serving
from tests.waiting import until

NAMES = [f"COIN{number:02}-USD" for number in range(30)]
KINDS = ("orderbook", "trades", "ticker")
CHANNELS = [f"{kind}:{name}" for name in NAMES for kind in KINDS]
MANY: dict[str, Any] = {
    "assets": {name[:6]: 8 for name in NAMES} | {"USD": 6}, "deposit": {"USD": "100000"}, "sources": (),
    "instruments": tuple(InstrumentConfig(name, name[:6], "USD", CONFIG.instruments[0].tick, CONFIG.instruments[0].lot) for name in NAMES),
}
NARROW = {
    "subscriptions_max": 90, "anonymous_message_bytes_max": 900, "message_bytes_max": 1100, "messages_burst": 12, "messages_per_s": 400, "errors_max": 1,
    "under_way_max": 5,
}
"""One error is one too many."""


def url(server: MarketServer) -> str:
    return f"ws://127.0.0.1:{server.port}/v1"


def trader(server: MarketServer, name: str) -> Client:
    return Client(url(server), lambda: token(name, server.clock.now(), "market account trade"), NoDelay())


async def until_followed(client: Client, count: int) -> None:
    await until(lambda: sum(map(client.follows, client.live)) >= count and all(live.seq >= 0 for live in client.live.values()))


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one by one"])
@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "anonymous"])
def test_all_channels_come_back_by_patches_while_orders_go_on(at_once: bool, signed_in: bool) -> None:
    @run
    async def test() -> None:
        async with serving(**MANY, **NARROW) as server, trader(server, "bob") as bob, (
                trader(server, "alice") if signed_in else Client(url(server), None, NoDelay())) as client:
            for name in NAMES:
                await bob.place(name, "buy", Ticks(50), Lots(1))
            if at_once:
                await client.subscribe(CHANNELS)
            else:
                await asyncio.gather(*(client.subscribe([channel]) for channel in CHANNELS))
            await until_followed(client, len(CHANNELS))
            trading = True

            async def trade() -> None:
                price = 0
                while trading:
                    price += 1
                    for name in NAMES[:3]:
                        await bob.place(name, "buy", Ticks(10 + price % 30), Lots(1))

            going_on = asyncio.create_task(trade())
            for _ in range(2):
                before = client.connections
                cut(client)
                await until(lambda: client.connections != before)    # noqa: B023 - it is waited for
                await until_followed(client, len(CHANNELS))
            trading = False
            await going_on
            resumed = {kind for kind, _ in client.resumed if kind != "none"}
            assert client.resumed["merged", "patch"] >= 3
            assert client.resumed["snapshot", "new"] == len(CHANNELS)
            assert resumed == {"merged", "snapshot"}
            await until(lambda: all(client.live[f"orderbook:{name}"].seq >= server.market.exchange.seq for name in NAMES))
            for name in NAMES:
                assert client.live[f"orderbook:{name}"].mirror.depth() == server.market.exchange.book(name).levels.depth()
            assert not server.venue.limits.hit

    test()


@run
async def test_one_channel_too_many_is_told_at_once_and_takes_none_with_it() -> None:
    async with serving(**MANY, **NARROW | {"subscriptions_max": 10}) as server, connect(url(server)) as client:
        lives = await client.subscribe(CHANNELS[:9])
        with pytest.raises(ClientError, match=r"11 channels: expected at most 10 on one connection; open another client"):
            await client.subscribe(CHANNELS[8:11])
        await client.subscribe(CHANNELS[9:10])
        assert list(client.live) == CHANNELS[:10]
        assert [live.channel for live in lives] == CHANNELS[:9]
        assert not server.venue.limits.hit


@run
async def test_requests_wait_for_their_turn_in_their_order() -> None:
    async with serving(messages_burst=5, messages_per_s=200, errors_max=1, under_way_max=2) as server, trader(server, "alice") as client:
        await client.instruments()
        placed = await asyncio.gather(*(client.place("BTC-USD", "buy", Ticks(100 + number), Lots(1)) for number in range(60)))
        assert [done.order for done in placed] == sorted(done.order for done in placed)
        assert not server.venue.limits.hit


def test_an_allowance_is_never_more_than_the_servers() -> None:
    """Even if the network holds messages back and lets them through in a bunch: what is not answered counts, and is forgotten from its answer on."""
    second = 10**9
    allowance = Allowance(Welcome("", 0, 0, 0, 0, None, 0, 0, 10, 4), 0)
    for _ in range(4):
        assert allowance.wait(0) == 0
        allowance.sent(1)
    assert second // 10 <= allowance.wait(0) <= second // 9
    assert allowance.wait(60 * second) > 0    # a minute later none has been answered: they may all arrive now
    for _ in range(4):
        allowance.answered(1, 60 * second)
    assert second // 10 <= allowance.wait(60 * second) <= second // 9
    assert allowance.wait(60 * second + second // 10) > 0
    assert allowance.wait(60 * second + second // 9) == 0
    allowance.sent(8)    # a subscription may go into debt, as the server's does
    allowance.answered(8, 61 * second)
    assert second // 2 <= allowance.wait(61 * second) <= second * 5 // 9


def test_no_more_are_under_way_than_may_be() -> None:
    allowance = Allowance(Welcome("", 0, 0, 0, 0, None, 0, 0, 1000, 100, 2), 0)
    allowance.sent(5)
    assert allowance.wait(0) == 0
    allowance.sent(1)
    assert allowance.wait(0) > 0
    allowance.answered(0, 0)    # a frame is no answer
    assert allowance.wait(0) > 0
    allowance.answered(1, 0)
    assert allowance.wait(0) == 0


@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize("size", [200, 900, 16 * 1024])
def test_a_part_is_never_longer_than_a_message_may_be(resumed: bool, size: int) -> None:
    channels = [f"orderbook:{'N' * (number % 30)}{number}-X" for number in range(3000)]
    parts = list(Allowance(Welcome("", 0, 0, 0, 0, None, 0, size), 0).parts(channels, resumed))
    assert [channel for part in parts for channel in part] == channels
    for part in parts:
        resume = dict.fromkeys(part, (1 << 53, (1 << 64) - 1)) if resumed else {}
        message = Subscribe(1 << 53, part, 1 << 31, 1 << 31, resume)
        assert len(MSGPACK.encode(message)) <= size
        assert cost_of(message) == 1 + len(part) <= 1025


@run
async def test_the_welcome_tells_the_limits_and_a_login_tells_its_own() -> None:
    async with serving(subscriptions_max=7, message_bytes_max=5000, anonymous_message_bytes_max=3000, messages_per_s=11, messages_burst=30) as server:
        async with connect(url(server)) as client:
            assert client.welcome
            assert (client.welcome.subscriptions_max, client.welcome.message_bytes_max) == (7, 3000)
            assert (client.welcome.messages_per_s, client.welcome.messages_burst) == (11, 30)
            answer = await client.login(token("alice", server.clock.now()))
            assert (answer.subscriptions_max, answer.message_bytes_max, answer.messages_per_s, answer.messages_burst) == (7, 5000, 11, 30)
            assert client.allowance.message_bytes_max == 5000
            await client.logout()
            assert client.allowance.message_bytes_max == 5000    # nor does the server take it back
            await client.subscribe([f"trades:{'BTC-USD'}"] * 3)
        async with trader(server, "alice") as client:
            assert client.welcome
            assert client.welcome.message_bytes_max == 5000


@run
async def test_a_relay_takes_as_many_connections_as_its_channels_want() -> None:
    async with serving(**MANY, **NARROW | {"subscriptions_max": 20}) as server, relaying(server, upstream_interval_ms=0) as relay:
        assert len(relay.relay.upstreams) == len(relay.links) == 6    # for 120 channels
        async with trader(server, "bob") as bob, Client(f"ws://127.0.0.1:{relay.port}/v1", None, NoDelay()) as client:
            books = await client.orderbooks(NAMES)
            for name in NAMES:
                await bob.place(name, "buy", Ticks(77), Lots(2))
            await until(lambda: all(book.mirror.best_bid == (77, 2) for book in books))
            for upstream in relay.links.values():
                cut(upstream)
            for name in NAMES:
                await bob.place(name, "buy", Ticks(78), Lots(2))
            await until(lambda: all(book.mirror.best_bid == (78, 2) for book in books))
            assert all(book.mirror.counts[Verdict.SNAPSHOT] == 1 for book in books)
        assert not server.venue.limits.hit


@run
async def test_the_commands_take_as_many_connections_as_the_channels_want() -> None:
    """`verify`, `judge` and `load` on a server of more channels than one connection may have: none is refused anything."""
    async with serving(**MANY, **NARROW | {"subscriptions_max": 20}) as server:
        outcome = await verify(url(server), 0.1, [], 0, 0, None, lambda: None)
        assert outcome.problems == []
        assert outcome.connections == 6    # of 5 instruments each
        assert len(outcome.instruments) == 30
        said = asyncio.StreamReader()
        statement = {"channel": f"orderbook:{NAMES[29]}", "epoch": server.market.point(0).epoch, "seq": server.market.exchange.seq, "digest": "0"}
        said.feed_data(msgspec.json.encode(statement) + b"\n")
        said.feed_eof()
        judgement = await judge(url(server), 0.1, None, said)
        assert judgement.problems == []
        for flags, why in ((["--channels", "orderbook"], "33 channels for each client: expected at most 20; choose fewer with --instruments or --channels"),
                           (["--instruments", "COIN01-USD", "--trading", "1", "--orders-per-s", "500"], "expected at most 400, the messages per second")):
            with pytest.raises(ClientError, match=why):
                await plan_of(load_arguments(server, *flags), None)
        assert not server.venue.limits.hit


@run
async def test_a_load_client_returns_within_the_limits() -> None:
    async with serving(**MANY, **NARROW) as server:
        plan = await plan_of(load_arguments(server, "--instruments", ",".join(NAMES[:20]), "--channels", "orderbook,trades,ticker"), None)
        tally = Tally()
        client = LoadClient(plan, PlannedClient(0, Role.STEADY, True), tally, ServerClock(), None, lambda text: None)
        living = asyncio.create_task(client.live())
        for returns in range(3):
            await until(lambda: tally.counts.connected >= 1 and client.idle)
            if returns < 2:
                cut(client)
                await until(lambda: not tally.counts.connected)
        assert tally.counts.refused == 0
        assert not server.venue.limits.hit
        await client.leave()
        living.cancel()


def load_arguments(server: MarketServer, *flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_load_arguments(parser)
    return parser.parse_args([url(server), "--clients", "1", *flags])
