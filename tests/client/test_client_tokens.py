"""Tokens that end: public channels go on, one's own say why they do not, and whoever can get a fresh token is asked for one."""

import asyncio

import pytest

from stream import Client, ClientError, Lots, RequestRefused, Ticks
from stream.client.errors import SignInRefused
from stream.client.kept_connection import Token
from stream.server.market_server import MarketServer
from stream.wire.administration import Revoke
from stream.wire.codes import ErrorCode
from stream.wire.messages import Confirmed
from tests.faulty import NoDelay
from tests.setting import token
from tests.sockets import cut, relaying, run, serving
from tests.waiting import until


def client_of(server: MarketServer, given: Token) -> Client:
    return Client(f"ws://127.0.0.1:{server.port}/v1", given, NoDelay())


def fresh(server: MarketServer, lives_s: int = 10_000, id: str = "one") -> str:
    now = server.clock.now()
    return token("alice", now, "market account trade", exp=now // 10**9 + lives_s, jti=id)


async def revoke(server: MarketServer, id: str) -> None:
    async with client_of(server, token("root", server.clock.now(), "admin")) as admin:
        await admin.request(Revoke, Confirmed, "", id)


@pytest.mark.parametrize("end", ["expires", "is revoked"])
@pytest.mark.parametrize("given", ["a text", "a callable of the same", "a coroutine function of the same"])
def test_without_a_token_public_channels_go_on_and_own_ones_say_why_they_do_not(end: str, given: str) -> None:
    @run
    async def test() -> None:
        async with serving(clock_skew_s=0, heartbeat_ms=100) as server, client_of(server, token("bob", server.clock.now())) as bob:
            text = fresh(server, 2 if end == "expires" else 100)

            async def later() -> str:
                return text

            tokens: dict[str, Token] = {"a text": text, "a callable of the same": lambda: text, "a coroutine function of the same": later}
            told: list[ClientError | None] = []
            async with client_of(server, tokens[given]) as client:
                client.on_connection(told.append)
                orders, balances, book = await client.orders(), await client.balances(), await client.orderbook("BTC-USD")
                own = [asyncio.ensure_future(anext(orders)), asyncio.ensure_future(anext(balances))]
                if end == "is revoked":
                    await revoke(server, "one")
                for ended in await asyncio.gather(*own, return_exceptions=True):
                    assert isinstance(ended, SignInRefused)
                    assert ("expired" if end == "expires" else "revoked") in str(ended)
                assert isinstance(told[0], SignInRefused)    # lost
                assert told[1] is None    # it is back
                assert isinstance(told[2], SignInRefused)    # without the token
                assert client.sign_in_refused is told[2]
                await bob.place("BTC-USD", "buy", Ticks(100), Lots(1))
                await until(lambda: book.mirror.best_bid == (100, 1))
                with pytest.raises(RequestRefused) as refused:
                    await client.place("BTC-USD", "buy", Ticks(100), Lots(1))
                assert refused.value.code == ErrorCode.NOT_SIGNED_IN
                await client.login(fresh(server, id="two"))
                await client.orders()
                assert list(client.live) == ["orderbook:BTC-USD", "orders"]

    test()


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("end", ["expires", "is revoked"])
def test_a_callable_is_asked_for_a_fresh_one_and_nothing_ends(end: str, kind: str) -> None:
    @run
    async def test() -> None:
        async with serving(clock_skew_s=0) as server:
            asked = 0

            def get() -> str:
                nonlocal asked
                asked += 1
                return fresh(server, 2 if end == "expires" and asked == 1 else 1000, f"number {asked}")

            async def get_later() -> str:
                await asyncio.sleep(0)
                return get()

            async with client_of(server, get if kind == "sync" else get_later) as client:
                orders = await client.orders()
                if end == "is revoked":
                    await revoke(server, "number 1")
                await until(lambda: client.connections == 2 and client.follows("orders"))
                assert asked == 2
                assert not client.sign_in_refused
                await client.place("BTC-USD", "buy", Ticks(100), Lots(1))
                assert (await anext(orders)).price_ticks == 100

    test()


@run
async def test_a_callable_that_fails_is_asked_again_and_its_error_told() -> None:
    async with serving() as server:
        fails: list[bool] = []

        async def get() -> str:
            if fails and len(fails) < 3:
                fails.append(True)
                raise OSError("the vault is sealed")
            return fresh(server)

        told: list[ClientError | None] = []
        async with client_of(server, get) as client:
            orders = await client.orders()
            client.on_connection(told.append)
            fails.append(True)
            cut(client)
            await until(lambda: told and told[-1] is None)
            assert [str(why) for why in told[1:-1]] == ["the callable gave no token: the vault is sealed"] * 2
            await client.place("BTC-USD", "buy", Ticks(100), Lots(1))
            assert (await anext(orders)).price_ticks == 100
        fails[:] = [True]
        with pytest.raises(ClientError, match="the callable gave no token: the vault is sealed"):
            await client_of(server, get).open()


@run
async def test_a_relay_whose_token_is_refused_follows_without_it() -> None:
    import tempfile

    async with serving() as server:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("a.b.c\n")
            file.flush()
            async with relaying(server, upstream_token_file=file.name) as relay:
                assert relay.relay.upstream.follows


@run
async def test_a_key_set_that_is_away_refuses_no_token_for_good() -> None:
    """503 with Retry-After, and 401 with it: come back; the token is as good as before."""
    from tests.client.test_client_handshakes import front_of, saying

    async with serving() as server, front_of(server.port) as front:
        client = Client(front.url, fresh(server), NoDelay())
        async with client:
            orders = await client.orders()
            ended = front.ended
            front.ending = saying(b"HTTP/1.1 401 Unauthorized\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nwait")
            front.cut()
            await until(lambda: front.ended > ended + 1)
            front.ending = None
            await until(lambda: client.follows("orders"))
            await client.place("BTC-USD", "buy", Ticks(100), Lots(1))
            assert (await anext(orders)).price_ticks == 100
