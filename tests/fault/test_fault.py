"""The proxy of faults: what each kind does to the bytes, which connection gets which, and the command."""

import asyncio
import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.fault import FaultError, FaultProxy, kinds, scripted, seeded
from stream.fault.framing import Frame, Frames, accept_of
from stream.fault.handshakes import TLS_ALERT
from stream.fault.kinds import End, Fault, HalfClose, Steps, ToClient, ToServer, Wait, pieces
from stream.wire.fragments import Assembler
from stream.wire.framing import close_frame
from tests.cli.test_cli import start
from tests.sockets import RawClient, run, serving

REQUEST = b"GET /v1 HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: deltabook.v1.msgpack, b\r\n\r\n"
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="    # of the example in RFC 6455
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def fault(text: str, seed: int = 1) -> Fault:
    """A fault by its name and amount."""
    spec, _ = scripted(text)(1)
    return spec.fault(Random(seed))


def told(steps: Steps, limit: int = 1000) -> tuple[bytes, bytes, list[object]]:
    """What the client and the server get of some steps, and what else there is but pauses."""
    client, server, rest = b"", b"", []
    for _, step in zip(range(limit), steps, strict=False):
        if isinstance(step, ToClient):
            client += step.data
        elif isinstance(step, ToServer):
            server += step.data
        elif not isinstance(step, Wait):
            rest.append(step)
    return client, server, rest


def binary(payload: bytes) -> bytes:
    return Frame(0x82, b"", payload).wire


MESSAGES = [bytes([number]) * (5 + number * 40) for number in range(6)]
STREAM = [binary(payload) for payload in MESSAGES]


def streamed(text: str, seed: int = 1) -> tuple[bytes, list[object]]:
    """What a client gets behind the handshake of six messages, which come in pieces of seven bytes."""
    kind = fault(text, seed)
    client, rest = b"", []
    for piece in pieces(UPGRADE + b"".join(STREAM), 7):
        got, _, more = told(kind.down(piece))
        client += got
        rest += more
        if End() in more or End(reset=True) in more:
            break
    assert client.startswith(UPGRADE)
    return client.removeprefix(UPGRADE), rest


# Framing


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0x81, 0x82, 0x02, 0x80, 0x88, 0x8A]), st.booleans(), st.integers(0, 70_000)), max_size=6), st.integers(1, 1 << 17))
def test_frames_are_found_in_any_pieces(shapes: list[tuple[int, bool, int]], size: int) -> None:
    frames = [Frame(first, b"mask" if masked else b"", b"x" * length) for first, masked, length in shapes]
    reader = Frames()
    assert [frame for piece in pieces(b"".join(frame.wire for frame in frames), max(size, 16)) for frame in reader.take(piece)] == frames


@given(st.binary(max_size=400), st.integers(1, 9), st.sampled_from([b"", b"\x01\x02\x03\x04"]))
def test_fragments_are_the_message(payload: bytes, count: int, mask: bytes) -> None:
    def plain(data: bytes) -> bytes:
        return bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)) if mask else data

    parts = list(Frame(0x82, mask, plain(payload)).parts(count))
    assembler = Assembler(1 << 20)
    whole = [assembler.take(part.first & 0xF, part.first & 0x80 > 0, False, plain(part.payload)) for part in parts]
    assert len(parts) <= count
    assert whole[:-1] == [None] * (len(parts) - 1)
    assert whole[-1] == (2, payload)


def test_the_accept_is_that_of_the_standard() -> None:
    assert accept_of(REQUEST) == ACCEPT


# Handshakes


@pytest.mark.parametrize(
    ("text", "client", "ends"),
    [
        ("closed-after-request", rb"", [End()]),
        ("reset-after-request", rb"", [End(reset=True)]),
        ("silent", rb"", []),
        ("half-status-line", rb"HTTP/1.1 10", [End()]),
        ("half-head", rb"HTTP/1.1 101 (?!.*\r\n\r\n).+", [End()]),
        ("endless-head", rb"HTTP/1.1 101 [^\r]+\r\n(X-More: yes\r\n){100,}", []),
        ("garbage:40", rb".{40}", [End()]),
        ("garbage-and-silence:30", rb".{30}", []),
        ("tls-bytes", re.escape(TLS_ALERT), [End()]),
        ("http-status", rb"HTTP/1.1 \d{3} .+", [End()]),
        ("http-status:503", rb"HTTP/1.1 503 Service Unavailable\r\n.*Retry-After: 1\r\n.*", [End()]),
        ("http-status:429", rb"HTTP/1.1 429 Too Many Requests\r\n.*Retry-After: 1\r\n.*", [End()]),
        ("http-status:403", rb"HTTP/1.1 403 Forbidden\r\n.*\r\n\r\nForbidden\n", [End()]),
        ("http-status:302", rb"HTTP/1.1 302 Found\r\n.*Location: /elsewhere\r\n.*", [End()]),
        ("http-status:200", rb"HTTP/1.1 200 OK\r\n.*<!doctype html>.*", [End()]),
        ("wrong-accept", rb"HTTP/1.1 101 (?!.*" + re.escape(ACCEPT) + rb").+Accept: .+\r\n\r\n", []),
        ("wrong-subprotocol", rb"HTTP/1.1 101 .+" + re.escape(ACCEPT) + rb".+Protocol: another.v9\r\n\r\n", []),
        ("silent-after-upgrade", rb"HTTP/1.1 101 .+" + re.escape(ACCEPT) + rb".+Protocol: deltabook.v1.msgpack\r\n\r\n", []),
        ("closed-after-upgrade", rb"HTTP/1.1 101 .+\r\n\r\n", [End()]),
        ("reset-after-upgrade", rb"HTTP/1.1 101 .+\r\n\r\n", [End(reset=True)]),
        ("refused-after-upgrade:4001", rb"HTTP/1.1 101 .+\r\n\r\n" + re.escape(close_frame(4001, "try again later")), [End()]),
    ],
)
def test_what_a_client_gets_in_the_place_of_a_handshake(text: str, client: bytes, ends: list[object]) -> None:
    for size in (1, 1000):
        kind = fault(text)
        assert not kind.reaches_server
        assert told(kind.begin()) == (b"", b"", [])
        heard, rest = b"", []
        for piece in pieces(REQUEST, size):
            got, server, more = told(kind.up(piece))
            heard, rest = heard + got, rest + more
            assert server == b""
        assert re.fullmatch(client, heard, re.DOTALL)
        assert rest == ends
        assert told(kind.up(b"more")) == (b"", b"", [])


def test_two_kinds_do_not_wait_for_a_request() -> None:
    assert told(fault("closed-at-once").begin())[2] == [End()]
    assert told(fault("reset-at-once").begin())[2] == [End(reset=True)]


# Streams


@pytest.mark.parametrize("text", ["pass", "delay:1", "slow:50", "pieces", "pieces:3", "cut:7", "stall:7", "deaf:1"])
def test_what_gets_through_is_what_was_sent(text: str) -> None:
    assert streamed(text) == (b"".join(STREAM), [])


def test_a_slow_line_takes_its_time() -> None:
    for steps in (fault("slow:100").up(bytes(250)), fault("slow:100").down(bytes(250))):
        assert sum(step.seconds for step in steps if isinstance(step, Wait)) == pytest.approx(2.5)
    for steps in (fault("delay:20").up(b"x"), fault("delay:20").down(b"x")):
        assert [step.seconds for step in steps if isinstance(step, Wait)] == [0.02]
    assert [step for step in fault("pieces").down(b"abc") if isinstance(step, ToClient)] == [ToClient(b"a"), ToClient(b"b"), ToClient(b"c")]


def test_fragments_come_with_control_frames_between_them() -> None:
    wire, _ = streamed("fragments:3")
    frames = list(Frames().take(wire))
    assembler = Assembler(1 << 20)
    whole = [assembler.take(frame.first & 0xF, frame.first & 0x80 > 0, False, frame.payload) for frame in frames]
    assert [payload for opcode, payload in filter(None, whole) if opcode == 2] == MESSAGES
    assert {frame.first & 0xF for frame in frames} == {0, 2, 9}
    assert sum(frame.first & 0xF == 0 for frame in frames) == 6 * 2 - 1    # the first message has five bytes, and a fragment four at least


def test_a_clients_messages_come_to_the_server_in_fragments_too() -> None:
    kind = fault("fragments")
    sent = b"".join(told(kind.up(piece))[1] for piece in pieces(REQUEST + Frame(0x82, b"mask", b"x" * 100).wire + Frame(0x8A, b"mask", b"").wire, 9))
    assert sent.startswith(REQUEST)
    assert [(frame.first, len(frame.payload)) for frame in Frames().take(sent.removeprefix(REQUEST))] == [(0x02, 52), (0x80, 48), (0x8A, 0)]


@pytest.mark.parametrize(("text", "end"), [("cut:3", End()), ("cut-by-reset:3", End(reset=True))])
def test_a_cut_is_in_the_middle_of_its_frame(text: str, end: End) -> None:
    cuts = set()
    for seed in range(20):
        wire, rest = streamed(text, seed)
        assert rest == [end]
        assert b"".join(STREAM[:2]) <= wire < b"".join(STREAM[:3])
        assert b"".join(STREAM).startswith(wire)
        cuts.add(len(wire))
    assert len(cuts) > 5


def test_nothing_gets_through_a_stall_and_it_stays_open() -> None:
    kind = fault("stall:3")
    assert told(kind.up(b"before"))[1] == b"before"
    assert told(kind.server_left())[2] == [End()]
    assert told(kind.down(UPGRADE + b"".join(STREAM)))[0] == UPGRADE + b"".join(STREAM[:2])
    assert told(kind.up(b"after")) == told(kind.server_left()) == (b"", b"", [])


def test_a_deaf_line_still_tells() -> None:
    kind = fault("deaf:3")
    assert told(kind.up(b"before"))[1] == b"before"
    assert told(kind.down(UPGRADE + b"".join(STREAM)))[0] == UPGRADE + b"".join(STREAM)
    assert told(kind.up(b"after")) == (b"", b"", [])


def test_half_closed() -> None:
    kind = fault("half-closed:2")
    client, _, rest = told(kind.down(UPGRADE + b"".join(STREAM)))
    assert (client, rest) == (UPGRADE + b"".join(STREAM[:2]), [HalfClose()])
    assert told(kind.up(b"after"))[1] == b"after"


@pytest.mark.parametrize(
    ("text", "expected", "ends"),
    [
        ("two-closes:2", STREAM[0] + close_frame(1001) + STREAM[1] + close_frame(1001), [End()]),
        ("reserved-bits:2", STREAM[0] + b"\xf2\x01\x90" + b"".join(STREAM[1:]), []),
        ("stray-fragment:2", STREAM[0] + b"\x80\x01\x90" + b"".join(STREAM[1:]), []),
        ("huge-frame:2", STREAM[0] + b"\x82\x7f\x40" + bytes(7) + b"".join(STREAM[1:]), []),
        ("text-message:2", STREAM[0] + b"\x81\x05hello" + b"".join(STREAM[1:]), []),
        ("unreadable:2", STREAM[0] + b"\x82\x01\xc1" + b"".join(STREAM[1:]), []),
    ],
)
def test_what_no_server_sends(text: str, expected: bytes, ends: list[object]) -> None:
    assert streamed(text) == (expected, ends)


def test_a_close_frame_comes_behind_some_frames() -> None:
    ends = set()
    for seed in range(150):
        wire, rest = streamed("closed-with:4002", seed)
        if rest:
            before = wire.removesuffix(close_frame(4002, "come back"))
            ends.add(len(before))
            assert b"".join(STREAM).startswith(before)
    assert ends == {len(b"".join(STREAM[:count])) for count in range(1, 7)}


def test_lost_bytes_are_of_one_frame_at_most_eight() -> None:
    for seed in range(50):
        wire, rest = streamed("lost-bytes:3", seed)
        whole = b"".join(STREAM)
        assert rest == []
        assert 1 <= len(whole) - len(wire) <= 8
        assert wire.startswith(b"".join(STREAM[:2]))
        assert wire.endswith(b"".join(STREAM[3:]))


def test_what_is_no_websocket_gets_through() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + b"\x82\x7f"
    for name in kinds():
        kind = fault(name)
        if kind.reaches_server and name not in ("delay", "slow", "pieces"):
            assert told(kind.down(page))[0] == page, name


# Which connection gets which


def names(plan: object, count: int) -> list[str]:
    return [str(plan(number)[0]) for number in range(1, count + 1)]    # type: ignore[operator]


def test_a_script_is_followed_and_then_all_passes_or_it_begins_anew() -> None:
    text = "closed-at-once*2, cut:5\n http-status:503*2"
    once = ["closed-at-once", "closed-at-once", "cut:5", "http-status:503", "http-status:503"]
    assert names(scripted(text), 7) == [*once, "pass", "pass"]
    assert names(scripted(text, repeat=True), 12) == [*once, *once, *once[:2]]


def test_a_seed_gives_the_same_again_and_another_one_does_not() -> None:
    assert names(seeded(7), 200) == names(seeded(7), 200) != names(seeded(8), 200)
    assert {name.split(":")[0] for name in names(seeded(7), 2000)} == set(kinds())
    few = names(seeded(7, ["cut:5", "silent"], 0.25), 2000)
    assert set(few) == {"cut:5", "silent", "pass"}
    assert 400 < 2000 - few.count("pass") < 600
    spec, chance = seeded(7)(3)
    again = seeded(7)(3)[1]
    assert (spec.fault(chance).amount, chance.random()) == (spec.fault(again).amount, again.random())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected at least one fault"), ("pass*0", "expected at least one fault"), ("silent:5", "silent takes no amount"),
        ("closed*0", "'closed': expected one of closed-at-once, reset-at-once,"),
        ("cut:", "expected a kind of fault, with an optional amount"), ("cut:-1", "such as cut, cut:5"), ("CUT", "expected a kind"),
    ],
)
def test_a_script_that_cannot_be_is_told(text: str, words: str) -> None:
    with pytest.raises(FaultError, match=re.escape(words)):
        scripted(text)


# On sockets


@run
async def test_connections_get_their_faults_in_turn_and_the_rest_reach_the_server() -> None:
    async with serving() as server:
        told: list[tuple[int, str]] = []
        to, script = f"ws://127.0.0.1:{server.port}/v1", "closed-at-once reset-at-once half-status-line pass"
        async with FaultProxy(to, scripted(script), told=lambda number, what: told.append((number, what))) as proxy:
            assert proxy.url == f"ws://127.0.0.1:{proxy.port}/v1"
            for expected in (asyncio.IncompleteReadError, ConnectionResetError, asyncio.IncompleteReadError):
                with pytest.raises(expected):
                    await RawClient.open(proxy.port)
            client, head = await RawClient.open(proxy.port)
            assert head.startswith("HTTP/1.1 101 ")
            assert (await client.message()).server
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
            proxy.follow(scripted("http-status:403"))
            assert (await RawClient.open(proxy.port))[1].startswith("HTTP/1.1 403 ")
            assert told == [(1, "closed-at-once"), (2, "reset-at-once"), (3, "half-status-line"), (4, "pass"), (5, "http-status:403")]
            assert proxy.seen == {"closed-at-once": 1, "reset-at-once": 1, "half-status-line": 1, "pass": 1, "http-status": 1}


@run
async def test_a_server_that_is_not_there_is_a_closed_connection() -> None:
    async with serving() as server:
        to = f"ws://127.0.0.1:{server.port}/v1"
    async with FaultProxy(to, scripted("pass")) as proxy:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):    # by whether it has been sent a request yet
            await RawClient.open(proxy.port)


@pytest.mark.parametrize("to", ["127.0.0.1:8080", "ftp://127.0.0.1/", "ws:///v1"])
def test_an_address_that_is_none_is_told(to: str) -> None:
    with pytest.raises(FaultError, match="expected the address of a server, such as ws://"):
        FaultProxy(to, scripted("pass"))


@run
async def test_the_command() -> None:
    async with serving() as server:
        to = f"ws://127.0.0.1:{server.port}/v1"
        process = await start("fault", "--listen", "0", "--to", to, "--script", "http-status:429 stall:1")
        assert process.stdout
        line = (await process.stdout.readline()).decode()
        port = int(line.split()[0].split(":")[2].split("/")[0])
        assert line == f"ws://127.0.0.1:{port}/v1 leads to {to}; every connection and its fault follow\n"
        assert (await RawClient.open(port))[1].startswith("HTTP/1.1 429 ")
        assert (await RawClient.open(port))[1].startswith("HTTP/1.1 101 ")
        assert [(await process.stdout.readline()).decode() for _ in range(2)] == ["1 http-status:429\n", "2 stall:1\n"]
        process.terminate()
        await process.communicate()
        assert process.returncode == 0


def test_the_help_has_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    from stream.cli import main

    with pytest.raises(SystemExit):
        main(["fault", "--help"])
    help = capsys.readouterr().out
    for name, kind in kinds().items():
        assert re.search(rf"^  {name}(\[:{re.escape(kind.unit)}\])? +{re.escape(str(kind.__doc__))}$", help, re.MULTILINE), name


@pytest.mark.parametrize("arguments", [["--script", "nonsense"], ["--seed", "1", "--only", "cut,nonsense"]])
def test_the_command_tells_what_cannot_be(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from stream.cli import main

    assert main(["fault", *arguments]) == 2
    assert "'nonsense': expected one of closed-at-once" in capsys.readouterr().err
