"""The conformance vectors: they are what the server says, and the client makes of them what it should."""

import json
from typing import Any

import pytest

from engine.levels import digest_of
from stream.client.live import KINDS
from stream.wire.candles import Candle, CandlePage
from stream.wire.channels import parse
from stream.wire.codec import JSON, MSGPACK
from stream.wire.frames import Gap
from stream.wire.messages import Leaving, Ping, Pong, Subscribe
from stream.wire.mirror import BalancesMirror, BookMirror, ByOrderMirror, OrdersMirror, TickerMirror, TradesMirror, Verdict
from tests.faulty import Peer, client_of, faulty
from tests.sockets import run
from tests.vector_files import FOLDER, files

STORED = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
CHANNELS = [vector for name in ("orderbook", "market_by_order", "trades", "ticker", "orders", "balances") for vector in STORED[f"{name}.json"]]


def ids(vector: dict[str, Any]) -> str:
    """The name of a vector, for the test's."""
    return str(vector["name"]).replace(" ", "_")


def state_of(mirror: Any) -> Any:
    """What a client has of a channel, as the vectors say it."""
    match mirror:
        case BookMirror():
            bids, asks = mirror.depth()
            return {"bids": bids, "asks": asks, "digest": str(mirror.levels.digest)}
        case ByOrderMirror(queues=queues):
            depth = zip(("buy", "sell"), queues.depth(), strict=True)
            rows = [[side, price, *order] for at, (side, flat) in enumerate(depth) for price in flat[::2] for order in queues.queue(at, price)]
            return {"orders": rows, "digest": str(queues.digest), "levels_digest": str(queues.levels_digest)}
        case TradesMirror():
            return {"trades": [[each.seq, each.price, each.size, each.side] for each in mirror.latest]}
        case TickerMirror(frame=frame):
            assert frame
            names = ("last", "last_size", "bid", "bid_size", "ask", "ask_size", "open", "high", "low", "volume", "trades")
            return {**{name: getattr(frame, name) for name in names}, "value": str(frame.value), "phase": frame.phase}
        case OrdersMirror():
            rows = [[each.order, each.client_id, each.side, each.price, each.remaining, each.filled] for each in mirror.open.values()]
            return {"open": sorted(rows)}
        case BalancesMirror():
            rows = [[each.asset, each.decimals, str(each.available), str(each.held)] for each in mirror.assets.values() if each.available or each.held]
            return {"balances": sorted(rows)}
    raise TypeError(mirror)


def holds(mirror: Any, step: dict[str, Any]) -> None:
    """The client has what it should have after a step."""
    assert mirror.resume == (tuple(step["resume"]) if step["resume"] else None)
    if step["state"]:
        assert state_of(mirror) == step["state"]
    else:
        assert mirror.frame is None


def test_the_vectors_are_what_the_server_says() -> None:
    assert {name: json.loads(text) for name, text in files()} == STORED, "run `make vectors`"


def test_a_vector_is_the_same_in_both_subprotocols() -> None:
    for vector in [*CHANNELS, *STORED["connection.json"], *STORED["candles.json"]]:
        for step in vector["steps"]:
            message = MSGPACK.decode_answer(bytes.fromhex(step["msgpack"]))
            assert JSON.decode_answer(step["json"].encode()) == message
            assert MSGPACK.encode(message).hex() == step["msgpack"]


def test_the_vectors_show_every_verdict_and_every_way_to_return() -> None:
    steps = [step for vector in CHANNELS for step in vector["steps"]]
    assert {step["verdict"] for step in steps} == {verdict.name.lower() for verdict in Verdict} | {"lost"}
    assert {step["returned"]["reason"] for step in steps if "returned" in step} == {"current", "patch", "epoch", "forgotten", "ahead", "larger", "window"}
    assert len({vector["name"] for vector in CHANNELS}) == len(CHANNELS)


@pytest.mark.parametrize("vector", CHANNELS, ids=ids)
def test_the_five_lines(vector: dict[str, Any]) -> None:
    _, kind = KINDS[parse(vector["channel"]).kind]
    mirror: Any = kind(vector["channel"])
    for step in vector["steps"]:
        if "returned" in step and mirror.resume:
            assert mirror.resume == tuple(step["returned"]["resume"])
        message: Any = MSGPACK.decode_answer(bytes.fromhex(step["msgpack"]))
        verdict = "lost" if isinstance(message, Gap) else mirror.receive(message).name.lower()
        if verdict in ("mismatch", "lost"):
            mirror.forget()
        assert verdict == step["verdict"], step
        holds(mirror, step)


@pytest.mark.parametrize("vector", CHANNELS, ids=ids)
def test_the_client(vector: dict[str, Any]) -> None:
    """The same over a socket, from a server that answers no second subscription. What comes behind a message is heard after it."""
    peers: list[Peer] = []

    def script(peer: Peer, request: Any) -> None:
        if request is None:
            peers.append(peer)
            peer.welcome()
        elif isinstance(request, Subscribe) and not request.resume:
            peer.subscribed(request)
        elif isinstance(request, Ping):
            peer.say(Pong(request.id, 0))

    @run
    async def test() -> None:
        async with faulty(script) as server, client_of(server) as client:
            [live] = await client.subscribe([vector["channel"]])
            for step in vector["steps"]:
                peers[0].say(MSGPACK.decode_answer(bytes.fromhex(step["msgpack"])))
                await client.ping()
                holds(live.mirror, step)

    test()


@pytest.mark.parametrize("vector", STORED["connection.json"], ids=ids)
def test_what_a_server_says_of_itself(vector: dict[str, Any]) -> None:
    @run
    async def test() -> None:
        peers: list[Peer] = []

        def script(peer: Peer, request: Any) -> None:
            if request is None:
                peers.append(peer)
                peer.say(MSGPACK.decode_answer(bytes.fromhex(vector["steps"][0]["msgpack"])))
            else:
                peer.say(Pong(request.id, 0))

        async with faulty(script) as server, client_of(server) as client:
            for i, step in enumerate(vector["steps"]):
                message = MSGPACK.decode_answer(bytes.fromhex(step["msgpack"]))
                if i:
                    peers[0].say(message)
                await client.ping()
                known = {"pacing_ms": client.pacing_ms, "stale_since": str(client.stale_since), "return_ms": round(client.return_s * 1000)}
                assert known == step["state"]
            assert isinstance(message, Leaving)

    test()


def figures_of(candle: Candle) -> list[Any]:
    """A candle as the vectors say it, each total in one number."""
    totals = [str(getattr(candle, name) + (getattr(candle, f"{name}_beyond") << 63)) for name in ("size", "value", "bought", "bought_value")]
    return [str(candle.start), candle.open, candle.high, candle.low, candle.close, *totals, candle.trades, candle.first, candle.last]


@pytest.mark.parametrize("vector", STORED["candles.json"], ids=ids)
def test_candles(vector: dict[str, Any]) -> None:
    for step in vector["steps"]:
        page = MSGPACK.decode_answer(bytes.fromhex(step["msgpack"]))
        assert isinstance(page, CandlePage)
        assert [figures_of(candle) for candle in page.candles] == step["state"]["candles"]


def test_digests() -> None:
    for vector in STORED["digest.json"]:
        assert str(digest_of(vector["bids"], vector["asks"])) == vector["digest"]
