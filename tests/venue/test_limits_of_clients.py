"""Every limit on what clients may do: that it is reached, what the answer is, and that it is counted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stream.server.market_server import MarketServer
from stream.settings.config import settings
from stream.venue.limits import block_of
from stream.wire.bucket import Bucket
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.framing import BINARY, PING
from stream.wire.messages import Cancel, Error, ListInstruments, LoggedIn, Login, Ping, Place, Subscribe
from tests.setting import START, messages_in, token
from tests.sockets import RawClient, get, masked, run, serving
from tests.worlds import BOOK, TRADES, Desk, QuietMarket

S = 10**9


def errors(desk: Desk) -> list[int]:
    return [message.code for message in desk.hear() if isinstance(message, Error)]


def closed(desk: Desk) -> CloseCode | None:
    return desk.session.closed[0] if desk.session.closed else None


# On a quiet market


def connections_per_address_max() -> QuietMarket:
    market = QuietMarket(connections_per_address_max=3)
    desks = [Desk(market, address="10.0.0.1") for _ in range(4)]
    assert [closed(desk) for desk in desks] == [None] * 3 + [CloseCode.TOO_MANY_CONNECTIONS]
    assert closed(Desk(market, address="10.0.0.2")) is None
    for desk in desks[2:]:
        market.disconnect(desk.session, market.now)
    assert closed(Desk(market, address="10.0.0.1")) is None
    return market


def connections_per_account_max() -> QuietMarket:
    market = QuietMarket(connections_per_account_max=2)
    desks = [Desk(market).sign_in("alice") for _ in range(3)]
    assert [closed(desk) for desk in desks] == [None, None, CloseCode.TOO_MANY_CONNECTIONS]
    assert closed(Desk(market).sign_in("bob")) is None
    for desk in desks[1:]:
        market.disconnect(desk.session, market.now)
    assert isinstance(Desk(market).ask(Login, token("alice", market.now))[0], LoggedIn)
    return market


def handshakes_per_s() -> QuietMarket:
    market = QuietMarket(handshakes_per_s=10, handshakes_burst=5)
    for _ in range(5):
        desk = Desk(market, address="10.0.0.1")
        assert closed(desk) is None
        market.disconnect(desk.session, market.now)
    assert closed(Desk(market, address="10.0.0.1")) is CloseCode.TOO_MANY_CONNECTIONS
    market.now += S
    assert closed(Desk(market, address="10.0.0.1")) is None
    return market


def sign_ins_per_s() -> QuietMarket:
    market = QuietMarket(sign_ins_per_s=1, sign_ins_burst=3)
    desks = [Desk(market, address="10.0.0.1") for _ in range(4)]
    answers = [desk.ask(Login, "nonsense")[0].code for desk in desks]
    assert answers == [ErrorCode.BAD_TOKEN] * 3 + [ErrorCode.TOO_MANY_SIGN_INS]
    assert isinstance(Desk(market, address="10.0.0.2").ask(Login, token("alice", market.now))[0], LoggedIn)
    market.now += S
    assert isinstance(desks[0].ask(Login, token("alice", market.now))[0], LoggedIn)
    return market


def messages_per_s() -> QuietMarket:
    market = QuietMarket(messages_per_s=10, messages_burst=5)
    desk = Desk(market)
    for _ in range(7):
        desk.ask(Ping)
    assert [message.code for message in desk.heard if isinstance(message, Error)] == [ErrorCode.TOO_MANY_REQUESTS] * 2
    market.now += S
    assert not isinstance(desk.ask(Ping)[0], Error)
    return market


def control_frames_per_s() -> QuietMarket:
    market = QuietMarket(control_frames_per_s=10, control_frames_burst=5, errors_max=3)
    desk = Desk(market)
    for _ in range(7):
        desk.session.ping(b"pong ", desk.session.charge(0, market.now, control=True))
    assert desk.session.take_out() == b"pong " * 5
    desk.ask(Ping)
    market.now += S
    for _ in range(7):
        desk.session.charge(0, market.now, control=True)
    assert closed(desk) is CloseCode.ABUSE
    return market


def bytes_per_s() -> QuietMarket:
    market = QuietMarket(bytes_per_s=1000, bytes_burst=9000)
    desk = Desk(market)
    for _ in range(5):
        desk.ask(Login, "x" * 2000)
    assert [message.code for message in desk.heard if isinstance(message, Error)] == [ErrorCode.BAD_TOKEN] * 4 + [ErrorCode.TOO_MANY_REQUESTS]
    assert not isinstance(desk.ask(Ping)[0], Error)
    return market


def orders_per_s() -> QuietMarket:
    market = QuietMarket(orders_per_s=10, orders_burst=5)
    desks = [Desk(market).sign_in("alice") for _ in range(2)]
    for i in range(6):
        desks[i % 2].ask(Place, "BTC-USD", "buy", 100, 1, client_id=i + 1)
    assert [message.code for desk in desks for message in desk.heard if isinstance(message, Error)] == [ErrorCode.TOO_MANY_REQUESTS]
    assert not isinstance(desks[0].ask(Cancel, client_id=1)[0], Error)
    assert market.exchange.order_count == 4
    return market


def cancels_per_s() -> QuietMarket:
    market = QuietMarket(cancels_per_s=10, cancels_burst=3)
    desk = Desk(market).sign_in("alice")
    codes = [desk.ask(Cancel, 1)[0].code for _ in range(4)]
    assert codes == [ErrorCode.UNKNOWN_ORDER] * 3 + [ErrorCode.TOO_MANY_REQUESTS]
    return market


def sign_in_timeout_s() -> QuietMarket:
    market = QuietMarket(sign_in_timeout_s=5, idle_timeout_s=1000)
    idler, listener, trader = Desk(market), Desk(market), Desk(market).sign_in("alice")
    listener.ask(Subscribe, [BOOK])
    market.now += 6 * S
    for _ in range(20):
        market.keep_house(market.now)
    assert [closed(desk) for desk in (idler, listener, trader)] == [CloseCode.IDLE, None, None]
    return market


def idle_timeout_s() -> QuietMarket:
    market = QuietMarket(idle_timeout_s=10)
    dead, living = Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    market.now += 6 * S
    for _ in range(20):
        market.keep_house(market.now)
    for desk in (dead, living):
        assert desk.session.take_out() == b"\x89\x00"
    living.session.charge(0, market.now)    # its pong
    market.now += 5 * S
    for _ in range(20):
        market.keep_house(market.now)
    assert [closed(desk) for desk in (dead, living)] == [CloseCode.IDLE, None]
    return market


def stall_timeout_s() -> QuietMarket:
    market = QuietMarket(stall_timeout_s=10, idle_timeout_s=5)
    stalled, crawling = Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    for desk in (stalled, crawling):
        desk.session.pause_writing(market.now)
    market.now += 6 * S
    crawling.session.resume_writing(market.now)
    crawling.session.pause_writing(market.now)
    market.now += 6 * S
    for _ in range(20):
        market.keep_house(market.now)
    assert [closed(desk) for desk in (stalled, crawling)] == [CloseCode.SLOW_CONSUMER, None]
    return market


def subscriptions_max() -> QuietMarket:
    market = QuietMarket(subscriptions_max=1)
    assert Desk(market).ask(Subscribe, [BOOK, TRADES])[0].code == ErrorCode.TOO_MANY_SUBSCRIPTIONS
    return market


def errors_max() -> QuietMarket:
    market = QuietMarket(errors_max=3)
    desk = Desk(market)
    for _ in range(4):
        desk.send(b"x")
    assert closed(desk) is CloseCode.ABUSE
    return market


def pending_bytes_max() -> QuietMarket:
    market = QuietMarket(pending_bytes_max=2000)
    desk = Desk(market)
    desk.session.pause_writing(market.now)
    for id in range(1, 100):
        desk.send(desk.codec.encode(ListInstruments(id)))
    assert closed(desk) is CloseCode.SLOW_CONSUMER
    assert desk.session.out_bytes < 4000
    return market


QUIET = (
    connections_per_address_max, connections_per_account_max, handshakes_per_s, sign_ins_per_s, messages_per_s, control_frames_per_s, bytes_per_s,
    orders_per_s, cancels_per_s,
    sign_in_timeout_s, idle_timeout_s, stall_timeout_s, subscriptions_max, errors_max, pending_bytes_max,
)


def test_a_connection_too_many_opens_no_account() -> None:
    market = QuietMarket(connections_per_address_max=1)
    desks = [Desk(market, claims=market.authenticator.verify(token("alice", market.now), START // 10**9)) for _ in range(2)]
    market.tick(market.now)
    assert [closed(desk) for desk in desks] == [None, CloseCode.TOO_MANY_CONNECTIONS]
    stranger = Desk(market, claims=market.authenticator.verify(token("bob", market.now), START // 10**9))
    market.tick(market.now)
    assert closed(stranger) is CloseCode.TOO_MANY_CONNECTIONS
    assert market.exchange.accounts == 1


def test_a_limit_that_closes_a_connection_is_hit_once() -> None:
    market = QuietMarket(stall_timeout_s=10)
    stalled = Desk(market)
    stalled.session.pause_writing(market.now)
    for _ in range(5):
        market.now += 11 * S
        for _ in range(20):
            market.keep_house(market.now)
    assert closed(stalled) is CloseCode.SLOW_CONSUMER
    assert market.limits.hit["stall_timeout_s"] == 1


def test_connections_that_are_gone_reach_no_limit_and_keep_nobody_waiting() -> None:
    market = QuietMarket(sign_in_timeout_s=5, idle_timeout_s=1000)
    desks = [Desk(market) for _ in range(100)]
    for desk in desks:
        desk.ask(Subscribe, [BOOK])
    market.keep_house(market.now)    # from here on all of them are to be looked at
    for desk in desks:
        market.disconnect(desk.session, market.now)
    idler = Desk(market)
    market.now += 6 * S
    for _ in range(2):
        market.keep_house(market.now)
    assert closed(idler) is CloseCode.IDLE
    assert market.limits.hit["sign_in_timeout_s"] == 1


@pytest.mark.parametrize("scenario", QUIET)
def test_a_limit_is_reached_and_counted(scenario: Callable[[], QuietMarket]) -> None:
    market = scenario()
    assert set(market.limits.hit) - {"errors_max"} == {scenario.__name__} - {"errors_max"}
    assert market.limits.hit[scenario.__name__]


# On sockets


async def connections_max(server: MarketServer) -> None:
    clients = [(await RawClient.open(server.port))[0] for _ in range(2)]
    _, head = await RawClient.open(server.port)
    assert " 503 " in head
    assert len(clients) == len(server.market.sessions)


async def origins(server: MarketServer) -> None:
    for origin, status in (("https://evil.example", " 403 "), ("null", " 403 "), ("http://localhost", " 101 "), ("https://good.example", " 101 ")):
        _, head = await RawClient.open(server.port, f"Origin: {origin}\r\n")
        assert status in head.splitlines()[0], origin


async def header_sign_ins_per_s(server: MarketServer) -> None:
    heads = [(await RawClient.open(server.port, "Authorization: Bearer x\r\n"))[1] for _ in range(3)]
    assert [head.split()[1] for head in heads] == ["401", "401", "503"]


async def message_bytes_max(server: MarketServer) -> None:
    for subject, sizes in (("", (900, 1100)), ("alice", (1900, 2100))):
        client, _ = await RawClient.open(server.port, f"Authorization: Bearer {token(subject, server.clock.now())}\r\n" if subject else "")
        await client.message()
        for size in sizes:
            client.writer.write(masked(BINARY, b"x" * (size // 2), fin=False) + masked(0, b"x" * (size // 2)))
        assert isinstance(await client.message(), Error)
        assert await client.close_code() == 1009


async def silent(server: MarketServer, address: str = "127.0.0.1") -> RawClient:
    """A connection that begins a request, and says no more."""
    client = RawClient(*await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0)))
    client.writer.write(b"GET /v1 HT")
    return client


async def handshakes_open_per_address_max(server: MarketServer) -> None:
    quiet = [await silent(server) for _ in range(3)]
    await quiet[0].ended()    # the oldest gives way
    _, head = await RawClient.open(server.port)
    assert " 101 " in head
    await quiet[1].ended()


async def handshakes_open_max(server: MarketServer) -> None:
    many = [await silent(server) for _ in range(2)]
    other = await silent(server, "127.0.0.2")
    await many[0].ended()    # of the address that has most
    _, head = await RawClient.open(server.port)
    assert " 101 " in head
    assert not other.reader.at_eof()


async def arrivals_per_s(server: MarketServer) -> None:
    statuses = [(await get(server.port, "/health"))[0].split()[1] for _ in range(3)]
    assert statuses == ["200", "200", "429"]
    other = RawClient(*await asyncio.open_connection("127.0.0.1", server.port, local_addr=("127.0.0.2", 0)))
    other.writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 200 " in await other.reader.readline()


SOCKETS: tuple[tuple[Callable[[MarketServer], Awaitable[None]], dict[str, Any]], ...] = (
    (connections_max, {"connections_max": 2}),
    (origins, {"origins": ("https://good.example",)}),
    (header_sign_ins_per_s, {"header_sign_ins_per_s": 1, "header_sign_ins_burst": 2}),
    (handshakes_open_per_address_max, {"handshakes_open_per_address_max": 2}),
    (handshakes_open_max, {"handshakes_open_max": 2, "handshakes_open_per_address_max": 10}),
    (arrivals_per_s, {"arrivals_per_s": 1, "arrivals_burst": 2}),
    (message_bytes_max, {"message_bytes_max": 2000, "anonymous_message_bytes_max": 1000}),
)


@pytest.mark.parametrize(("scenario", "changes"), SOCKETS)
def test_a_limit_at_the_door_is_reached_and_counted(scenario: Callable[[MarketServer], Awaitable[None]], changes: dict[str, Any]) -> None:
    @run
    async def scene() -> None:
        async with serving(**changes) as server:
            await scenario(server)
            assert set(server.market.limits.hit) == {scenario.__name__}

    scene()


def test_every_limit_has_its_scenario() -> None:
    """Whatever is called a limit in the configuration; those of the engine and of gateways, and on what is under way, are hit in their own tests."""
    elsewhere = {
        "tombstones_max", "orders_max", "accounts_max", "client_ids_max", "history_orders_max", "token_lifetime_s_max", "api_key_lifetime_s_max", "lag_ms_max",
        "anonymous_message_bytes_max", "write_bytes_max", "grace_s_max", "handshake_timeout_s", "close_timeout_s", "drain_timeout_s", "jwks_bytes_max",
        "jwks_timeout_s", "under_way_max", "unanswered_max",
    }
    limits = {setting.name for setting in settings() if setting.name.endswith(("_max", "_per_s", "_timeout_s"))} - elsewhere
    assert limits | {"origins"} == {scenario.__name__ for scenario in QUIET} | {scenario.__name__ for scenario, _ in SOCKETS}


def test_the_setting_behind_a_refusal_is_named_in_the_metrics() -> None:
    @run
    async def scene() -> None:
        async with serving(origins=()) as server:
            await RawClient.open(server.port, "Origin: https://evil.example\r\n")
            _, body = await get(server.port, "/metrics")
            assert b'deltabook_limits_hit_total{limit="origins"} 1.0' in body

    scene()


def test_pings_and_fragments_are_charged() -> None:
    @run
    async def scene() -> None:
        async with serving(messages_per_s=1, messages_burst=10, control_frames_per_s=1, control_frames_burst=10, errors_max=5) as server:
            for flood in (masked(PING, b""), masked(BINARY, b"", fin=False) + masked(0, b"", fin=False) * 20):
                client, _ = await RawClient.open(server.port)
                client.writer.write(flood * 20)
                assert await client.close_code() in (CloseCode.ABUSE, 1002)
        assert server.market.limits.hit["control_frames_per_s"] >= 5

    scene()


# The parts


def test_a_bucket_refills_and_never_overflows() -> None:
    bucket = Bucket(10, 5, START)
    assert [bucket.take(START) for _ in range(6)] == [True] * 5 + [False]
    assert not bucket.take(START + S // 20)
    assert bucket.take(START + S // 10)
    assert [bucket.take(START + 100 * S) for _ in range(6)] == [True] * 5 + [False]
    assert not Bucket(10, 5, START).take(START, 6)


def test_addresses_are_counted_as_their_owners_have_them() -> None:
    assert block_of("10.1.2.3") == "10.1.2.3"
    assert block_of("2001:db8:1:2::5") == block_of("2001:db8:1:2:ffff::1") != block_of("2001:db8:1:3::5")
    assert block_of("") == ""


def test_those_who_are_gone_are_forgotten() -> None:
    market = QuietMarket()
    desk = Desk(market, address="10.0.0.1").sign_in("alice")
    desk.ask(Place, "BTC-USD", "buy", 100, 1)
    market.disconnect(desk.session, market.now)
    market.now += 60 * S
    market.limits.forget(market.now)
    assert not market.limits.addresses
    assert not market.limits.accounts


def test_a_trusted_proxy_says_where_its_clients_are() -> None:
    @run
    async def scene() -> None:
        for proxies, address in ((("127.0.0.1",), "10.9.8.7"), ((), "127.0.0.1")):
            async with serving(trusted_proxies=proxies) as server:
                await RawClient.open(server.port, "X-Forwarded-For: 1.1.1.1, 10.9.8.7\r\n")
                await asyncio.sleep(0)
                assert [session.address for session in server.market.sessions] == [address]

    scene()


def test_what_does_not_fit_into_one_write_comes_later() -> None:
    """A client that asks for more than a write holds gets part at once, and the rest as soon as that is written, all of it right."""
    market = QuietMarket(write_bytes_max=3000, deposit={"BTC": "1000000", "USD": "100000000"})
    trader, watcher = Desk(market).sign_in("alice"), Desk(market)
    for name in ("BTC-USD", "ETH-USD"):
        for price in range(1000, 2000):
            trader.send(trader.codec.encode(Place(10_000 + price, name, "buy", price, 1)))
    market.tick(market.now)
    watcher.session.charge(0, market.now)
    watcher.session.receive(watcher.codec.encode(Subscribe(1, [BOOK, "orderbook:ETH-USD", TRADES], 0, 0)), market.now, "")
    rounds = []
    while watcher.session.out:
        rounds.append([message for message in messages_in(watcher.session.take_out()) if hasattr(message, "prev")])
        market.tick(market.now)
    assert [[frame.channel for frame in frames] for frames in rounds] == [[BOOK], [TRADES, "orderbook:ETH-USD"]]
    assert all(frame.prev is None for frames in rounds for frame in frames)
    assert rounds[1][1].digest == market.exchange.book("ETH-USD").levels.digest


