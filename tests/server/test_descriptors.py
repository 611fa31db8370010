"""A real server with few descriptors, while strangers take all that they can get: the journal goes on, and everybody else gets in."""

import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.setting import SECRET, token

DESCRIPTORS = 160
HANDSHAKE = (
    "GET /v1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n"
)


@contextmanager
def server_with(descriptors: int, folder: Path, ports: str = "page|admin", *flags: str) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """A busy market with a journal of small files; its port and the administrators', or two others by the names that they are told with."""
    (folder / "key").write_text(SECRET)
    settings = {
        "admin_port": 0, "rate": 3000, "journal": folder / "journal", "journal_segment_bytes": 1 << 16, "journal_reserve_bytes": 0, "key_file": folder / "key",
        "journal_snapshot_commands": 2000,
    }
    command = [sys.executable, "-u", "-m", "stream", "serve", "--port", "0", "--source", "simulated"]
    command += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command += flags

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=limit) as server:
        assert server.stdout is not None
        said = ""
        while "  journal" not in said and server.poll() is None:
            said += server.stdout.readline()
        try:
            port, admin_port = (int(found) for found in re.findall(rf"(?:{ports}) +\w+://[^:]+:(\d+)", said))
            yield server, port, admin_port
        finally:
            server.terminate()


def ask(port: int, request: str, source: str = "127.0.0.1") -> bytes:
    """The beginning of an answer; b"" if there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), 10, (source, 0)) as asking:
            asking.sendall(request.encode())
            return asking.recv(4096)
    except OSError:
        return b""


def hold(port: int, source: str, count: int, say: bytes, hear: int = 0) -> list[socket.socket]:
    """Connections that say this, hear so many bytes, and no more."""
    held = []
    for _ in range(count):
        try:
            held.append(socket.create_connection(("127.0.0.1", port), 1, (source, 0)))
            held[-1].sendall(say)
            held[-1].recv(hear)
        except OSError:
            break
    return held


def figure(port: int, name: str) -> int:
    """A metric."""
    text = b""
    with socket.create_connection(("127.0.0.1", port), 10) as asking:
        asking.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        while data := asking.recv(1 << 16):
            text += data
    [found] = re.findall(rf"^{name} (\S+)$", text.decode(), re.MULTILINE)
    return int(float(found))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system has no /proc")
def test_strangers_take_no_descriptor_that_the_market_needs(tmp_path: Path) -> None:
    with server_with(DESCRIPTORS, tmp_path) as (server, port, admin_port):
        admin = HANDSHAKE.format(f"Authorization: Bearer {token('root', time.time_ns(), 'admin')}\r\n")
        began = figure(admin_port, "deltabook_commands_total")
        segments = {path.name for path in (tmp_path / "journal").iterdir()}
        held: list[socket.socket] = []
        for round in range(4):
            strangers = ["127.0.0.8"] if round < 2 else [f"127.0.0.{number}" for number in range(10, 40)]
            for stranger in strangers:
                held += hold(port, stranger, DESCRIPTORS // len(strangers) + 4, HANDSHAKE.format("").encode(), 12)
            held += hold(port, "127.0.0.9", DESCRIPTORS, b"GET /v1 HT" if round % 2 else b"")
            held += hold(admin_port, "127.0.0.9", DESCRIPTORS, b"GET /he")
            assert len(os.listdir(f"/proc/{server.pid}/fd")) < DESCRIPTORS - 16    # the reserve is kept
            assert b" 200 " in ask(port, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "127.0.0.2")
            assert b" 101 " in ask(admin_port, admin, "127.0.0.2")
            assert b" 101 " in ask(port, admin, "127.0.0.2")
            newcomer = ask(port, HANDSHAKE.format(""), "127.0.0.3")
            assert (b" 101 " if round < 2 else b" 503 ") in newcomer    # one address does not have all the places; many have
            if round % 2:
                while held:
                    held.pop().close()
        deadline = time.monotonic() + 20
        while len({path.name for path in (tmp_path / "journal").iterdir()} - segments) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert figure(admin_port, "deltabook_commands_total") > began
        assert figure(admin_port, "deltabook_frozen") == 0
        server.terminate()
        assert server.wait(20) == 0
    log = (tmp_path / "log").read_text()
    assert "open files (ulimit -n) allow fewer connections" in log
    assert "ERROR" not in log
    assert "the journal" not in log
