"""Nobody gets in over a real socket either: what is sent right behind a handshake that is refused, or behind a close, is not looked at."""

from typing import Any

import msgspec

from stream.access.revocations import Revocation
from stream.server.market_server import MarketServer
from stream.wire.codes import CloseCode
from stream.wire.framing import BINARY, CLOSE
from stream.wire.messages import Ping, Pong, Welcome
from tests.access.forgeries import authenticator, bad_tokens, good
from tests.access.test_authorization import ASKED, ID, KINDS
from tests.sockets import RawClient, masked, run, serving

S = 10**9

EVERYTHING = b"".join(masked(BINARY, msgspec.msgpack.encode(kind(ID, *fields))) for kind in KINDS for scope, fields in ASKED[kind] if scope)
"""All requests that need a scope, in one piece."""


def trace(server: MarketServer) -> tuple[Any, ...]:
    """What requests would leave."""
    market = server.market
    return market.exchange.state_hash(), market.sequencer.executed, market.exchange.accounts, len(market.authenticator.revocations)


@run
async def test_nobody_gets_in_by_the_header() -> None:
    async with serving() as server:
        now = server.clock.now() // S
        server.market.authenticator = authenticator(server.config, now)
        before = trace(server)
        bobs = good("bob", now)
        odd = ("Bearer", f"Basic {bobs}", bobs, f"Bearer {bobs}, Bearer x", f"Bearer {'x' * 9000}")
        for value in (*odd, *(f"Bearer {token}" for token in bad_tokens(now).values())):
            client, head = await RawClient.open(server.port, f"Authorization: {value}\r\n", behind=EVERYTHING)
            assert " 401 " in head, value
            await client.ended()
        assert trace(server) == before
        assert server.market.connections_opened == 0


async def admitted(server: MarketServer, **changes: Any) -> RawClient:
    """A connection that has every scope, and its account."""
    client, head = await RawClient.open(server.port, f"Authorization: Bearer {good('mallory', server.clock.now() // S, **changes)}\r\n")
    assert " 101 " in head
    assert isinstance(await client.message(), Welcome)
    client.send(Ping(1))
    assert isinstance(await client.message(), Pong)
    return client


@run
async def test_what_comes_after_ones_own_close_is_not_looked_at() -> None:
    async with serving() as server:
        server.market.authenticator = authenticator(server.config, server.clock.now() // S)
        client = await admitted(server)
        before = trace(server)
        client.writer.write(masked(CLOSE, (1000).to_bytes(2)) + EVERYTHING)
        assert await client.close_code() == 1000
        await client.ended()
        assert trace(server) == before


@run
async def test_what_comes_after_the_servers_close_is_not_looked_at() -> None:
    async with serving() as server:
        server.market.authenticator = authenticator(server.config, server.clock.now() // S)
        client = await admitted(server, jti="mallory's")
        server.market.authenticator.revocations.add(Revocation(server.clock.now() / S, token_id="mallory's"))
        server.market.close_revoked()
        before = trace(server)
        client.writer.write(EVERYTHING)
        assert await client.close_code() == CloseCode.REVOKED
        client.writer.write(EVERYTHING)
        await client.ended()
        assert trace(server) == before
