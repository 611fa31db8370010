"""What the spot dialect costs: a REST order and an update of a book, beside FastAPI, and what its clients cost those of the native protocol.

    python -m benchmarks.dialect --rounds 5 --seconds 2

FastAPI (`make peers`), on uvicorn with uvloop and httptools, reads the same requests and says the same bytes, but has no engine, journal or history and checks
no signature; `order/test` is an order of ours that gets as far. The cost is all of the server's processor time by order, and by update that a client gets: what
a server uses with so many followers less what it uses without them, under the same native orders. Then the wait of native requests while so many clients follow
a book through the dialect, to the wait while nobody does, round by round: in one process, and with a process for the dialect, both without a journal, since a
disk would hide the difference. Servers have one core, clients another. Linux alone.
"""

import argparse
import hmac
import json
import os
import select
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.machine import cores, describe, processor_ns
from benchmarks.order_load import run
from benchmarks.orders import MIXES, NO_LIMIT, ROOT, SETTINGS, Server, lines_to, quantile, started
from benchmarks.receiver import Clients, Dialect
from stream.access import key_files
from stream.access.api_keys import ApiKey, secret_of
from stream.settings.config import Config

OURS, APART, FASTAPI = "deltabook", "deltabook, a process for the dialect", "FastAPI"
TRIAL, ORDER, UPDATE = COSTS = "order/test", "a REST order", "an update to a client"
SUBJECT = "bench"
STREAM = "/ws/btcusdt@depth@100ms"
PERIOD_NS = 100_000_000
CONNECTIONS = 10
SLOW, FAST = 40, 500
"""Native requests a second: enough to change a book in each interval, and enough to measure their waits."""
FOLLOWERS_OF_UPDATES = 4
"""So many times the followers get updates while the cost of one is measured."""
READ = 1 << 16
PATIENCE_S = 30
FOLLOWED = Dialect(STREAM, "", [], lambda data, start, stop: 0)


class Venue(NamedTuple):
    """A market with a dialect: its native port, the dialect's, the process that serves the dialect, and what signs there."""

    native: Server
    pid: int
    port: int
    key: str
    secret: str

    def orders(self, count: int, path: str) -> list[list[bytes]]:
        """Requests for so many orders, for each connection its own."""
        return [[self._order(k, each, path) for k in range(count // CONNECTIONS)] for each in range(CONNECTIONS)]

    def _order(self, k: int, connection: int, path: str) -> bytes:
        """A signed request for a limit order that rests, as bytes."""
        price = 20_000 + (connection * 97 + k) % 1000
        query = f"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.0001&price={price}.00&recvWindow=60000&timestamp={time.time_ns() // 10**6}"
        signature = hmac.digest(self.secret.encode(), query.encode(), "sha256").hex()
        return (
            f"POST /api/v3/{path}?{query}&signature={signature} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-MBX-APIKEY: {self.key}\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    def cancel_all(self) -> None:
        """Cancel what is open."""
        query = f"symbol=BTCUSDT&timestamp={time.time_ns() // 10**6}"
        query += f"&signature={hmac.digest(self.secret.encode(), query.encode(), 'sha256').hex()}"
        url = f"http://127.0.0.1:{self.port}/api/v3/openOrders?{query}"
        with urlopen(Request(url, method="DELETE", headers={"X-MBX-APIKEY": self.key}), timeout=PATIENCE_S) as answer:
            answer.read()


@contextmanager
def venue(journal: bool, apart: bool = False) -> Iterator[Venue]:
    """Serve a market with the dialect, in one process or in one of its own."""
    ports: dict[str, int] = {}

    def port_in(line: str) -> int | None:
        words = line.split()
        if words and "127.0.0.1:" in line:
            ports[words[0]] = int(line.rpartition("127.0.0.1:")[2].partition("/")[0])
        return ports.get("WebSocket") if "binance" in ports else None

    with tempfile.TemporaryDirectory(prefix="dialect-") as folder:
        files = {"api_keys": f"{folder}/keys", "api_keys_master": f"{folder}/master"}
        config, now = Config(**files), int(time.time())    # type: ignore[arg-type]
        key = ApiKey(SUBJECT, SUBJECT, ("account", "market", "trade"), now, now + 10**6, "")
        secret = secret_of(key, key_files.make_master(config))
        key_files.add(config, key)
        settings = SETTINGS | files | {"dialects": {"binance": 0}, "dialect_weight_per_minute": NO_LIMIT, "unanswered_max": NO_LIMIT}
        settings |= {"workers": 1, "dialect_workers": 1} if apart else {}
        texts = {f"DELTABOOK_{name.upper()}": value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
        command = ["stream", "serve", "--port", "0", "--source", "none", "--journal", f"{folder}/journal" if journal else "none"]
        with started(OURS, command, ROOT, port_in, texts) as native:
            pid = serving_pid(native.pid, ports["binance"])
            yield Venue(native, pid, ports["binance"], SUBJECT, secret)


def serving_pid(pid: int, port: int) -> int:
    """The process that serves a dialect's port, once it does."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return next((int(child) for child in children if b"DELTABOOK_DIALECT_WORKERS=1" in Path(f"/proc/{child}/environ").read_bytes()), pid)
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{OURS}: nobody serves the dialect")


class Asker:
    """One connection that asks one request after the other."""

    def __init__(self, port: int, requests: list[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = requests[::-1]
        self.answer = self.inbox = b""
        self.ask()

    def ask(self) -> None:
        """Send the next request, if there is one."""
        if self.requests:
            self.socket.sendall(self.requests.pop())

    def hear(self) -> bool:
        """Read what has come. Returns whether that ends an answer."""
        data = self.socket.recv(READ)
        if not data:
            raise SystemExit(f"a server closed the connection behind {self.inbox!r}")
        self.inbox += data
        head, end, body = self.inbox.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].split()[0]):
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"a server said {self.inbox!r}")
        self.answer, self.inbox = body, b""
        return True


def ask_all(port: int, pid: int, requests: list[list[bytes]]) -> tuple[float, bytes]:
    """Ask over as many connections as there are lists, each one request at a time. Returns the server's us by request, and an answer."""
    began, left = processor_ns(pid), sum(map(len, requests))
    count, askers, poll = left, [Asker(port, each) for each in requests], select.epoll()
    by_file = {asker.socket.fileno(): asker for asker in askers}
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    while left:
        for file, _ in poll.poll(PATIENCE_S):
            if by_file[file].hear():
                left -= 1
                by_file[file].ask()
    cost = (processor_ns(pid) - began) / count / 1000
    poll.close()
    for asker in askers:
        asker.socket.close()
    return cost, askers[0].answer


@contextmanager
def fastapi(answer: bytes, update: bytes) -> Iterator[Server]:
    """FastAPI, with the words of ours."""
    command = ["benchmarks.fastapi_server", answer.decode(), update.decode(), str(PERIOD_NS)]
    with started(FASTAPI, command, ROOT, lambda line: int(line), {}) as server:
        serving_pid(server.pid, server.port)
        yield server


def followed(port: int, pid: int, followers: int, seconds: float, load: Server | None = None, rate: int = SLOW) -> tuple[float, int, list[int], bytes]:
    """What a server uses in ns while so many follow, how many updates they got, the waits of native requests meanwhile, and an update."""
    answer, here = os.pipe()
    child = os.fork() if followers else 0
    if followers and not child:
        clients = Clients(port, followers, FOLLOWED)
        clients.receive(PERIOD_NS / 10**9, 0)
        os.write(here, b"+")
        got = clients.receive(seconds, 0)
        payload = got.first_client[-1] if got.first_client else b""
        os.write(here, json.dumps([got.frames, payload.decode("latin-1")]).encode())
        os._exit(0)
    if followers:
        os.read(answer, 1)
    began = processor_ns(pid)
    waits: list[int] = []
    if load:
        lines = lines_to(load, MIXES["place"], int(rate * seconds / MIXES["place"].connections * 1.1) + 1)
        waits = list(run(lines, seconds, lambda: 0, rate).waits)
        for line in lines:
            line.socket.close()
    else:
        time.sleep(seconds)
    used = processor_ns(pid) - began
    frames, frame = 0, ""
    if followers:
        text = b""
        os.close(here)
        while part := os.read(answer, READ):
            text += part
        frames, frame = json.loads(text)
        os.waitpid(child, 0)
    else:
        os.close(here)
    os.close(answer)
    return used, frames, waits, frame[frame.find("{") :].encode()


def spread(values: list[float], decimals: int) -> str:
    """Least, median and most."""
    return " / ".join(f"{value:,.{decimals}f}" for value in (min(values), median(values), max(values))) if values else "-"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="length of each measurement of updates and of waits (default: %(default)s)")
    parser.add_argument("--orders", type=int, default=2000, help="REST orders a round (default: %(default)s)")
    parser.add_argument("--followers", type=int, default=100, help="clients of the dialect (default: %(default)s)")
    options = parser.parse_args()
    console = Console(highlight=False, width=160)
    costs: dict[str, dict[str, list[float]]] = {name: {what: [] for what in COSTS} for name in (OURS, FASTAPI)}
    waits: dict[str, list[tuple[float, float]]] = {OURS: [], APART: []}
    with ExitStack() as stack, Progress(console=Console(stderr=True), transient=True) as progress:
        one, many = stack.enter_context(venue(journal=True)), options.followers * FOLLOWERS_OF_UPDATES
        venues = {OURS: stack.enter_context(venue(journal=False)), APART: stack.enter_context(venue(journal=False, apart=True))}
        os.sched_setaffinity(0, cores()[1])
        peer: Server | None = None
        for number in progress.track(range(options.rounds + 1), description="measuring"):
            tried, _ = ask_all(one.port, one.pid, one.orders(options.orders, "order/test"))
            placed, answer = ask_all(one.port, one.pid, one.orders(options.orders, "order"))
            one.cancel_all()
            used = followed(one.port, one.pid, 0, options.seconds, one.native)[0]
            more, updates, _, update = followed(one.port, one.pid, many, options.seconds, one.native)
            found = {
                name: [quantile(followed(each.port, each.pid, count, options.seconds, each.native, FAST)[2], 0.99) for count in (0, options.followers)]
                for name, each in venues.items()
            }
            if not number:    # the first round warms up, and says what the peer is to say
                if find_spec("fastapi") and find_spec("uvicorn"):
                    peer = stack.enter_context(fastapi(answer, update))
                continue
            for what, cost in zip(COSTS, (tried, placed, (more - used) / updates / 1000), strict=True):
                costs[OURS][what].append(cost)
            for name, (without, among) in found.items():
                waits[name].append((without, among))
            if peer:
                costs[FASTAPI][ORDER].append(ask_all(peer.port, peer.pid, one.orders(options.orders, "order"))[0])
                used, updates, _, _ = followed(peer.port, peer.pid, many, options.seconds)
                costs[FASTAPI][UPDATE].append(used / updates / 1000)
    table = Table("us of the server's core: least / median / most", *COSTS, box=None, pad_edge=False)
    for name, each in costs.items():
        table.add_row(name, *(spread(each[what], 1) for what in COSTS))
    console.print(f"{describe()}\n{len(answer)} bytes an answer, {len(update)} bytes an update, {many} followers", table)
    table = Table(f"native requests, {FAST} a second", "p99 us", f"with {options.followers} followers, to without", box=None, pad_edge=False)
    for name, pairs in waits.items():
        table.add_row(name, spread([without * 1000 for without, _ in pairs], 0), spread([among / without for without, among in pairs], 2))
    console.print(table)
    if not peer:
        console.print(f"{FASTAPI} is not installed: `make peers` installs it", style="yellow")


if __name__ == "__main__":
    if sys.platform != "linux":
        raise SystemExit("this needs Linux")
    main()
