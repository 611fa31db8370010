"""What a server says that may have fallen behind what it shows."""

from stream import connect
from stream.wire.messages import Stale
from tests.sockets import get, run, serving
from tests.worlds import Desk, QuietMarket


def told(desk: Desk) -> list[int]:
    return [message.since for message in desk.hear() if isinstance(message, Stale)]


def test_everybody_is_told_once_and_again_when_it_is_over() -> None:
    market = QuietMarket()
    desk = Desk(market)
    for since in (7, 7):
        market.tell_stale(since)
    assert told(desk) == [7]
    late = Desk(market)
    assert [type(message).__name__ for message in late.heard] == ["Welcome", "Stale"]
    market.tell_stale(0)
    assert told(desk) == told(late) == [0]
    assert [type(message).__name__ for message in Desk(market).heard] == ["Welcome"]


@run
async def test_a_stale_server_is_not_ready_and_its_clients_know() -> None:
    async with serving() as server, connect(f"ws://127.0.0.1:{server.port}/v1") as client:
        for since in (7, 0, 7):
            server.market.tell_stale(since)
            await client.ping()
            assert client.stale_since == since
            head, body = await get(server.port, "/ready")
            assert (head.split()[1], body) == (("503", b"stale\n") if since else ("200", b"ready\n"))
        async with connect(client.url) as late:
            await late.ping()
            assert late.stale_since == 7
