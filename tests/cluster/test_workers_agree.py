"""Two workers are one market: who is connected to either, who may be, and what a guard means, also after a restart."""

import time
from pathlib import Path
from typing import Any

import pytest

from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import SignInRefused
from stream.cluster.gateway import CONNECTIONS_MAX
from stream.wire.administration import Disconnect, ListConnections, Revoke
from stream.wire.messages import CancelOnDisconnect, Confirmed, Connections
from tests.cluster.fault_accounts import drop
from tests.cluster.test_workers import Running, client_of, serving
from tests.setting import token
from tests.sockets import RawClient, run
from tests.waiting import until, until_answered


async def root_of(there: Running) -> Client:
    client = Client(f"ws://127.0.0.1:{there.port}/v1", token("root", time.time_ns(), "admin"))
    await client.open()
    return client


async def connected(root: Client) -> list[tuple[str, int]]:
    """Who is connected, and to which worker."""
    answer = await root.request(ListConnections, Connections)
    assert answer.unheard == []
    return [(each.subject, each.connection // CONNECTIONS_MAX) for each in answer.connections]


async def at_both_workers(there: Running, root: Client, subject: str) -> list[Client]:
    """Clients of one subject, of which each worker has some."""
    clients: list[Client] = []
    while len({worker for name, worker in await connected(root) if name == subject}) < 2:
        clients.append(await client_of(there.port, subject))
    return clients


async def guard_and_drop(there: Running, headers: str) -> None:
    """A connection that is lost before its guard is on disk, or the answer is read."""
    client, _ = await RawClient.open(there.port, headers)
    client.send(CancelOnDisconnect(1, "connection"))
    await client.writer.drain()
    client.writer.transport.abort()


def open_orders(client: Client) -> Any:
    return client.live["orders"].mirror.open    # type: ignore[attr-defined]


def test_two_workers_agree_on_who_is_connected_and_who_may_be(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        old = token("mallory", time.time_ns())
        async with serving(tmp_path) as there:
            alice = await client_of(there.port, "alice")
            root = await root_of(there)
            alices = [alice, *await at_both_workers(there, root, "alice")]
            for client in alices[1:]:
                await client.cancel_on_disconnect("session", 0)
            await alice.place("BTC-USD", "buy", Ticks(100), Lots(1))
            for client in alices[1:]:
                await drop(client)
            for _ in range(10):
                await guard_and_drop(there, f"Authorization: Bearer {token('alice', time.time_ns())}\r\n")
            await until_answered(lambda: connected(root), lambda found: len(found) == 2)    # alice's first connection, and root's
            await alice.place("BTC-USD", "buy", Ticks(99), Lots(1))
            assert len(open_orders(alice)) == 2, "somebody is still connected"
            mallories = await at_both_workers(there, root, "mallory")
            await root.request(Revoke, Confirmed, "mallory")
            await until(lambda: all(client.sign_in_refused for client in mallories))
            bobs = await at_both_workers(there, root, "bob")
            before = [client.connections for client in bobs]
            await root.request(Disconnect, Confirmed, "bob")
            await until(lambda: all(client.connections > was or client.closed for client, was in zip(bobs, before, strict=True)))
            for client in (alice, root, *mallories, *bobs):
                await client.close()
        async with serving(tmp_path) as there:
            alice = await client_of(there.port, "alice")
            await until(lambda: len(open_orders(alice)) == 2)
            for _ in range(8):    # of either worker, mostly
                with pytest.raises(SignInRefused):
                    await Client(f"ws://127.0.0.1:{there.port}/v1", old).open()
            await alice.close()

    scene()
