"""A reader who does what a document says, block by block: in a folder of their own, with servers on free ports.

What is typed in a shell is run by bash. A line that serves a market becomes a server; on which port it listens is found out, and what names the
port of the document from there on is led to it. Such a line again, on the same port, is what a person does behind Ctrl-C. What a document shows as
output is compared with what came, `...` being anything. A block of a kind that nobody would know what to do with is a failure, so none goes untested.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from stream.settings.config import read_config
from tests.redis_servers import MISSING, RedisServer

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60
PORT = 8080
REDIS = "redis://127.0.0.1:6379"
NODE = shutil.which("node")
SOCKETS = "--experimental-websocket"    # node 20 has a WebSocket under this flag, later ones have it anyway

CLIENTS = ("binance", "binance_sdk_spot", "ccxt", "cryptofeed", "kraken", "nautilus_trader", "unicorn_binance_websocket_api")
PACKAGES = {name: ROOT / "build/dialect_clients/node_modules" / name for name in ("binance-api-node", "ccxt")}
"""Packages of the extra `dialects`."""

DIRECTIVES = {"{eval-rst}", "{include}", "{toctree}"}
"""Blocks that are for Sphinx, which fails if they are wrong."""

READY = re.compile(r"page +https?://[^/]*:(\d+)/|metrics on port (\d+)|:(\d+)\S* leads to")
BESIDE = re.compile(r"^  (?:binance|kraken|REST) +http://[^/]*:(\d+)/", re.MULTILINE)
"""A port beside the server's own."""
SERVES = re.compile(r"^(\S*/)?deltabook (serve|fault)\b")
ELSEWHERE = re.compile(r"^(make|docker|sudo|apt-get|git clone) ")
"""Lines that are for a whole machine. A target of make has to be one."""


class Block(NamedTuple):
    """A fenced block: what it says behind the fence, and what is in it."""

    path: Path
    line: int
    kind: str
    text: str

    @property
    def place(self) -> str:
        """Where it is."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def name(self) -> str:
        """The file that a reader saves it as, which its first line names; "" for none."""
        named = re.match(r"(?:#|//) ([\w.-]+\.\w+)\n", self.text)
        return named[1] if named else ""


def blocks_of(path: Path) -> Iterator[Block]:
    """The fenced blocks of a document, in order."""
    fence, kind, start, inside = "", "", 0, list[str]()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if fence and re.fullmatch(rf" *{fence[0]}{{{len(fence)},}} *", line):
            yield Block(path, start, kind, "".join(f"{each}\n" for each in inside))
            fence, inside = "", []
        elif fence:
            inside.append(line)
        elif opened := re.match(r" *(`{3,}|~{3,}) *(\S*)", line):
            fence, kind, start = opened[1], opened[2], number
    assert not fence, f"{path.name}:{start}: a block without an end"


def missing_client(text: str) -> str:
    """A client of another venue that a block needs and that is not installed, "" for none."""
    return next((name for name in CLIENTS if re.search(rf"^(import|from) {name}\b", text, re.MULTILINE) and find_spec(name) is None), "")


def missing_package(text: str) -> str:
    """The same for Node."""
    return next((name for name, path in PACKAGES.items() if f'from "{name}"' in text and not path.exists()), "")


def lines_of(script: str) -> list[str]:
    """The lines of a script, each with those that it goes on in."""
    return script.replace("\\\n", "\\\0").splitlines()


def spaced(text: str) -> str:
    """Text without the spaces that only align it."""
    return "".join(re.sub(r"\s+", " ", line).strip() + "\n" for line in text.strip("\n").splitlines())


def pattern(expected: str) -> re.Pattern[str]:
    """What output has to be. A line of `...` is any lines, and within a line it is anything."""
    lines = spaced(expected).splitlines()
    return re.compile("".join(r"(?:.*\n)*?" if line == "..." else ".*?".join(map(re.escape, line.split("..."))) + r"\n" for line in lines))


class Running:
    """A process, and all that it has said so far."""

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            arguments, cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.said = ""
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._news:
                self.said += line
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def until(self, holds: Callable[[str], object]) -> bool:
        """Wait until something holds of what it has said, or it has ended; whether that holds."""
        with self._news:
            assert self._news.wait_for(lambda: self._ended or holds(self.said), PATIENCE_S), f"after {PATIENCE_S} seconds there is only:\n{self.said}"
            return bool(holds(self.said))

    def end(self, how: signal.Signals) -> int:
        """End it, and whatever it has started; its exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
        return self.finish()

    def finish(self) -> int:
        """Wait for its end, but not for ever; its exit status."""
        try:
            self.until(lambda said: False)
            return self.process.wait(PATIENCE_S)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self._reader.join(PATIENCE_S)
            assert self.process.stdout
            self.process.stdout.close()


class Reader:
    """Does what the blocks of a document say. `skipped` says what could not be done here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.skipped: set[str] = set()
        self._servers: dict[int, Running] = {}
        self._ports: dict[int, int] = {}
        self._redis: RedisServer | None = None
        self._latest: Running | None = None    # what has spoken last
        self._goes_on = False    # it does so until it is interrupted
        self._saved: dict[str, str] = {}    # files, as the document has them
        self._unused: dict[str, str] = {}    # those of them that nothing has used yet, and where they come from
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DELTABOOK_", "COV_", "PYTEST"))}
        self._environment = kept | {"NO_COLOR": "1", "COLUMNS": "140", "TERM": "dumb", "PYTHONUNBUFFERED": "1", "PATH": f"{sys.prefix}/bin:{kept['PATH']}"}
        (folder / ".venv").symlink_to(sys.prefix)
        for name in ("stream", "tests"):
            (folder / name).symlink_to(ROOT / name)
        (folder / "node_modules").mkdir()
        (folder / "node_modules" / "deltabook").symlink_to(ROOT / "stream" / "web" / "client")
        for name, path in PACKAGES.items():
            (folder / "node_modules" / name).symlink_to(path)

    def read(self, path: Path) -> None:
        """Do all that a document says."""
        if MISSING and REDIS in path.read_text():
            self.skipped.add("redis-server is not installed")
            return
        blocks = list(blocks_of(path))
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            goes_on = after is not None and after.kind == "text" and after.text.endswith("\n...\n")
            try:
                self._do(block, goes_on)
            except AssertionError as error:
                raise AssertionError(f"{block.place}: {error}") from error
        assert not self._unused, f"nothing uses {self._unused}"

    def close(self) -> None:
        """End what is still running."""
        with ExitStack() as stack:
            if self._redis:
                stack.callback(self._redis.stop)
            for server in self._servers.values():
                stack.callback(self._end, server, signal.SIGTERM)
            stack.callback(self._interrupt)

    def _end(self, server: Running, how: signal.Signals) -> None:
        status = server.end(how)
        assert status == 0, f"a server has ended with {status}:\n{server.said}"

    def _interrupt(self) -> None:
        if self._latest and self._goes_on:
            self._latest.end(signal.SIGINT)
        self._goes_on = False

    def _do(self, block: Block, goes_on: bool) -> None:
        if block.kind != "text":
            self._interrupt()
        text = self._here(block.text)
        match block.kind:
            case "":
                assert re.search("[─│┌]", text), "a block without a kind is a drawing"
            case kind if kind in DIRECTIVES:
                pass
            case "toml":
                read_config(self._save(block), {})
            case "yaml":
                self._check_rules(text)
            case "python" | "js" if block.name:
                self._save(block)
                self._unused[block.name] = block.place
            case "python" if missing := missing_client(text):
                self.skipped.add(f"{missing} is not installed: `make dialects` installs it")
                self._latest = None
            case "python":
                self._run([sys.executable, "-c", text], goes_on)
            case "js" if missing := missing_package(text):
                self.skipped.add(f"{missing} is not installed: `make dialects` installs it")
                self._latest = None
            case "js":
                self._run_in_node(text, goes_on)
            case "sh":
                self._type(text, goes_on)
            case "text":
                self._compare(block.text)
            case kind:
                raise AssertionError(f"a block of kind {kind!r}: nobody knows what to do with it")

    def _save(self, block: Block) -> Path:
        assert block.name, "expected a first line that says what file it is, such as `# market.toml`"
        self._use(block.text)
        self._saved[block.name] = block.text
        self._write()
        return self.folder / block.name

    def _write(self) -> None:
        """Have the files name the servers that there are now."""
        for name, text in self._saved.items():
            (self.folder / name).write_text(self._here(text))

    def _start(self, arguments: list[str]) -> Running:
        """Start something where the shell is, with what it has exported."""
        self._write()
        return Running(["bash", "-c", '[ ! -e .shell ] || . ./.shell; exec "$0" "$@"', *arguments], self.folder, self._environment)

    def _run(self, arguments: list[str], goes_on: bool = False) -> None:
        self._latest = self._start(arguments)
        self._goes_on = goes_on
        if not goes_on:
            status = self._latest.finish()
            assert status == 0, f"exit status {status}:\n{self._latest.said}"

    def _run_in_node(self, text: str, goes_on: bool) -> None:
        if not (NODE and subprocess.run([NODE, SOCKETS, "-e", "new WebSocket('ws://x')"], capture_output=True, timeout=30, check=False).returncode == 0):
            self.skipped.add("node 20 or later is not installed")
            self._latest = None
            return
        (self.folder / "block.mjs").write_text(text)
        self._run([NODE, SOCKETS, "--no-warnings", "block.mjs"], goes_on)

    # A shell

    def _use(self, text: str) -> None:
        """Note the files that are named, or imported."""
        for name in [name for name in self._unused if name in text or f"from {name.removesuffix('.py')} import" in text]:
            del self._unused[name]

    def _type(self, text: str, goes_on: bool) -> None:
        """Type lines into a shell, which remembers where it is and what was exported."""
        self._use(text)
        typed: list[str] = []
        for line in lines_of(text):
            if SERVES.match(line):
                self._type_all(typed)
                self._serve(line.replace("\\\0", " "))
            elif ELSEWHERE.match(line):
                self._check_elsewhere(line)
            else:
                typed.append(line.replace("\\\0", "\\\n"))
        if any(line.startswith("curl ") for line in typed) and not shutil.which("curl"):
            self.skipped.add("curl is not installed")
            self._latest = None
        else:
            self._type_all(typed, goes_on)

    def _type_all(self, lines: list[str], goes_on: bool = False) -> None:
        if any(lines):
            left = "" if goes_on else "\nexport -p > .shell"
            self._run(["bash", "-euo", "pipefail", "-c", "\n".join(lines) + left], goes_on)
        lines.clear()

    def _serve(self, line: str) -> None:
        named = re.search(r"--(?:port|listen) (\d+)", line)
        port = int(named[1]) if named else PORT
        if port in self._servers:
            self._end(self._servers.pop(port), signal.SIGINT)
        flag = "--listen" if "deltabook fault" in line else "--port"
        line = re.sub(rf" {flag} \d+", "", line).partition(" #")[0] + f" {flag} 0"
        beside = re.search(r"--(?:dialect \w+=|rest )(\d+)", line)
        line = re.sub(r"(--dialect \w+=|--rest )\d+", r"\g<1>0", line)
        server = self._servers[port] = self._start(["bash", "-c", f"exec {line}"])
        standby = "--role standby" in line
        assert server.until(lambda said: "follows until" in said if standby else READY.search(said)), f"the server has ended:\n{server.said}"
        if found := READY.search(server.said):
            self._ports[port] = int(found[1] or found[2] or found[3])
            if beside:
                assert server.until(BESIDE.search)
                self._ports[int(beside[1])] = int(BESIDE.findall(server.said)[0])
            if not found[3]:
                self._await_ready(server, self._ports[port])
        self._latest = server

    def _await_ready(self, server: Running, port: int) -> None:
        """Wait until a server has what it shows: of a relay that is not at once."""
        until = time.monotonic() + PATIENCE_S
        while server.process.poll() is None:
            try:
                urlopen(f"http://127.0.0.1:{port}/ready", timeout=PATIENCE_S).close()
                return
            except (HTTPError, URLError) as error:    # not yet; or nobody listens yet, of workers
                if isinstance(error, HTTPError):
                    error.close()
                assert time.monotonic() < until, f"the server on {port} is not ready"

    def _check_elsewhere(self, line: str) -> None:
        if line.startswith("make "):
            target = line.split()[1]
            assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"make has no target {target}"
            if target == "run":
                dry = subprocess.run(["make", "--dry-run", "--no-print-directory", "run"], cwd=ROOT, capture_output=True, text=True, check=True)
                self._serve(dry.stdout.splitlines()[-1])

    # What is another here than in the document

    def _here(self, text: str) -> str:
        """The ports of the servers that run here; commands that would go on for long, or for ever, made short."""
        if REDIS in text:
            if not self._redis:
                self._redis = RedisServer(self.folder / "redis").start()
            text = text.replace(REDIS, self._redis.url)
        for port, real in self._ports.items():
            text = re.sub(rf"(127\.0\.0\.1|localhost):{port}\b", rf"\g<1>:{real}", text)
        if PORT in self._ports:
            url = f"ws://127.0.0.1:{self._ports[PORT]}/v1"
            text = re.sub(r"(deltabook (?:watch|admin|place|cancel|orders|balances|fills))\b(?![^\n|]*ws://)", rf"\1 --url {url}", text)
            text = re.sub(r"(deltabook (?:verify|load|judge))\b(?![^\n|]*ws://)", rf"\1 {url}", text)
            text = re.sub(r"(-m stream\.examples\.\w+)(?![^\n|]*ws://)", rf"\1 --url {url}", text)
        if self._redis:
            text = re.sub(r"(deltabook (?:cluster status|handover))\b(?![^\n|]*--redis)", rf"\1 --redis {self._redis.url}", text)
        text = re.sub(r"(deltabook watch)\b(?![^\n]*--count)", r"\1 --count 1", text)
        return re.sub(r"--seconds \d+", "--seconds 1", text)

    def _as_documented(self, said: str) -> str:
        """What was said, with the ports of the document."""
        if self._redis:
            said = said.replace(self._redis.url, REDIS)
        for port, real in self._ports.items():
            said = re.sub(rf"(:|port ){real}\b", rf"\g<1>{port}", said)
        return said.replace(f"{sys.prefix}/bin/", "")

    def _compare(self, expected: str) -> None:
        wanted = pattern(re.sub(r"for \d+ seconds", "for 1 seconds", expected))
        if self._latest is None:
            assert self.skipped, "nothing was said"
            return
        fits = wanted.match if self._goes_on else wanted.fullmatch
        assert self._latest.until(lambda said: fits(spaced(self._as_documented(said)))), f"expected\n{expected}\ngot\n{self._as_documented(self._latest.said)}"
        self._interrupt()

    def _check_rules(self, text: str) -> None:
        """Rules for Prometheus: their metrics are ones that the server has."""
        yaml = pytest.importorskip("yaml")
        assert yaml.safe_load(text)
        with urlopen(f"http://127.0.0.1:{self._ports[PORT]}/metrics", timeout=PATIENCE_S) as answer:
            metrics = answer.read().decode()
        for name in re.findall(r"\bdeltabook_\w+", text):
            assert re.search(rf"^(# TYPE )?{name}\b", metrics, re.MULTILINE), f"there is no metric {name}"
