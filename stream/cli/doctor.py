"""`deltabook doctor`: checks whether this machine can run a server, and says what to do if it cannot."""

import argparse
import ctypes
import fcntl
import os
import platform
import re
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from enum import StrEnum
from http.client import HTTPException
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import msgspec
from rich.console import Console
from rich.table import Table

from stream.cluster.redis_client import TROUBLE, connect
from stream.journal.recovery import LOCK
from stream.server.server import kept_free, share
from stream.settings.config import Config, read_config
from stream.system import loop

ROOT = Path(__file__).parents[2]
PYTHON_MIN = (3, 11)
CLOCK_STEP_NS_MAX = 1000
UNSYNCHRONISED = 5
"""What adjtimex(2) returns if the clock is not synchronised."""

YEAR_MIN = 2025
PATIENCE_S = 2.0


class Verdict(StrEnum):
    """The outcome of a check: all is well, something is worth a look, or a server cannot run."""

    GOOD = "good"
    DOUBT = "doubt"
    BAD = "bad"


GOOD, DOUBT, BAD = Verdict
MARKS = {GOOD: "[green]✓[/]", DOUBT: "[yellow]![/]", BAD: "[red]✗[/]"}

EXAMPLES = """examples:
  deltabook doctor
  deltabook doctor --config venue.toml --redis redis://127.0.0.1:6379
  deltabook doctor --json | jq '.[] | select(.verdict != "good")'

exit status: 0 if nothing is bad, 1 if anything is
"""


class Finding(NamedTuple):
    """What one check has found. `advice` says what to do about it, "" if nothing."""

    name: str
    verdict: Verdict
    what: str
    advice: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `doctor`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("--config", type=Path, metavar="FILE", help="the server's TOML file")
    parser.add_argument("--host", help="the address that the server would listen on")
    parser.add_argument("--port", type=int, help="the TCP port that it would listen on")
    parser.add_argument("--journal", metavar="FOLDER", help="the folder of its journal")
    parser.add_argument("--redis", metavar="URL", help="the Redis that it would use, such as redis://127.0.0.1:6379")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def number_of(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, so that versions can be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+-]", version, maxsplit=1)[0]))


def python() -> Iterator[Finding]:
    """Check the interpreter, and name this package and the system."""
    what = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.release()} {platform.machine()}"
    good = sys.version_info >= PYTHON_MIN
    yield Finding("python", GOOD if good else BAD, what, "" if good else f"install Python {'.'.join(map(str, PYTHON_MIN))} or later")
    yield Finding("deltabook", GOOD, f"{metadata.version('deltabook')} in {ROOT}")


def dependencies() -> Iterator[Finding]:
    """Check each package that this one needs."""
    for requirement in metadata.requires("deltabook") or []:
        if "extra ==" in requirement:
            continue
        name, bounds = re.split(r"[<>=\[]", requirement)[0], dict(re.findall(r"(>=|<)([\d.]+)", requirement))
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            where_it_exists = ";" in requirement
            yield Finding(name, DOUBT if where_it_exists else BAD, "is not installed", f"pip install '{requirement.partition(';')[0]}'")
            continue
        if number_of(bounds.get(">=", "0")) <= number_of(found) < number_of(bounds.get("<", "999999")):
            yield Finding(name, GOOD, found)
        else:
            yield Finding(name, BAD, f"{found}, but {requirement} is needed", f"pip install '{requirement}'")


def compiled() -> Iterator[Finding]:
    """Check whether the compiled modules can be imported, and name what built them."""
    paths = [path.relative_to(ROOT) for package in ("engine", "stream") for path in sorted((ROOT / package).rglob("*.pyx"))]
    names = [".".join(path.with_suffix("").parts) for path in paths]
    broken = []
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            broken.append(f"{name} ({error})")
    if broken:
        advice = "build them again: `pip install --force-reinstall deltabook`, or `make test` in a clone"
        yield Finding("compiled parts", BAD, f"cannot be imported: {', '.join(broken)}", advice)
        return
    from stream.cli import build_facts

    checks = ", with bounds checks and assertions" if build_facts.checked else ""
    verdict, advice = (DOUBT, "good for tests, but slow for a server: build without DELTABOOK_CHECKED") if build_facts.checked else (GOOD, "")
    yield Finding("compiled parts", verdict, f"{len(names)} modules by Cython {build_facts.cython} and {build_facts.compiler}{checks}", advice)


def port(config: Config) -> Iterator[Finding]:
    """Check whether a server could listen on its port."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    where = f"{config.host} port {config.port}"
    with closing(socket.socket(family, socket.SOCK_STREAM)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, config.port))
            yield Finding("port", GOOD, f"{where} is free")
            return
        except OSError as error:
            trouble = error.strerror or str(error)
    try:
        with urlopen(f"http://{f'[{config.host}]' if ':' in config.host else config.host}:{config.port}/", timeout=PATIENCE_S) as answer:
            ours = b"<title>deltabook" in answer.read()
    except (OSError, ValueError, HTTPException):
        ours = False
    if ours:
        yield Finding("port", DOUBT, f"{where}: a deltabook server is there already", "choose another port for a second server with --port")
    else:
        yield Finding("port", BAD, f"{where}: {trouble}", "choose another port with --port, or end the program that uses this one (`ss -ltnp` shows it)")


def files(config: Config) -> Iterator[Finding]:
    """Check how many connections the limit of open files allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.connections_max + config.handshakes_open_max + kept_free(config)
    if soft >= wanted:
        yield Finding("open files", GOOD, f"{soft:,}, enough for {config.connections_max:,} connections")
    else:
        raise_it = f"run `ulimit -n {wanted}` first" if hard >= wanted else f"raise the hard limit, now {hard:,}, in limits.conf or LimitNOFILE of the unit"
        yield Finding("open files", DOUBT, f"{soft:,}: enough for {share(soft, config)[1]:,} connections instead of {config.connections_max:,}", raise_it)


def journal(config: Config) -> Iterator[Finding]:
    """Check the folder of the journal and the room on its disk."""
    if config.journal == "none":
        yield Finding("journal", DOUBT, "none: the market is in memory only", "to keep it, give a folder with --journal")
        return
    folder = Path(config.journal)
    exists = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not exists.is_dir() or not os.access(exists, os.W_OK | os.X_OK):
        advice = "choose another folder with --journal, or give the user that runs the server write access to this one"
        yield Finding("journal", BAD, f"{exists} cannot be written to", advice)
        return
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) if folder.is_dir() else 0
    room = os.statvfs(exists)
    free = room.f_bavail * room.f_frsize
    said = f"{folder}: {size / 1e6:,.0f} MB, {free / 1e9:,.1f} GB free" if size else f"{folder}: nothing yet, {free / 1e9:,.1f} GB free"
    if is_locked(folder / LOCK):
        yield Finding("journal", DOUBT, f"{said}; a server is writing to it", "a second server needs another folder")
    elif free < config.journal_reserve_bytes:
        advice = "free some space on the disk, or lower `journal_reserve_bytes`"
        yield Finding("journal", BAD, f"{said}, less than the reserve of {config.journal_reserve_bytes / 1e6:,.0f} MB: no order would be taken", advice)
    else:
        yield Finding("journal", GOOD, said)


def is_locked(path: Path) -> bool:
    """Whether a server holds the lock file at `path`."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def clock() -> Iterator[Finding]:
    """Check the clock. The expiry of tokens and the latency that clients measure depend on it."""
    step_ns = time.get_clock_info("monotonic").resolution * 1e9
    if time.gmtime().tm_year < YEAR_MIN:
        said = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        yield Finding("clock", BAD, f"it says {said} UTC: tokens would be refused", "set the clock, and run an NTP client")
    elif step_ns > CLOCK_STEP_NS_MAX:
        yield Finding("clock", DOUBT, f"counts in steps of {step_ns:,.0f} ns", "shorter latencies cannot be measured here")
    elif sys.platform == "linux" and ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024)) == UNSYNCHRONISED:
        advice = "run an NTP client, such as chrony; if this is a virtual machine, its host may keep the clock right"
        yield Finding("clock", DOUBT, "it is not synchronised", advice)
    else:
        yield Finding("clock", GOOD, f"steps of {step_ns:,.0f} ns, synchronised")


def redis(url: str) -> Iterator[Finding]:
    """Check the Redis server."""
    client = connect(url)

    async def ask() -> tuple[float, dict[str, Any]]:
        try:
            began = time.perf_counter()
            await client.ping()
            return time.perf_counter() - began, await client.info()
        finally:
            await client.aclose()

    try:
        took, told = loop.run(ask())
    except TROUBLE as error:
        yield Finding("redis server", BAD, f"{re.sub(r'//.*@', '//', url)}: {error}", "start it, or give another one with --redis")
        return
    servers = [told] if "redis_version" in told else list(told.values())    # in a Redis Cluster each node answers for itself
    said = f"{servers[0]['redis_version']}, answers in {took * 1000:.1f} ms"
    forgetful = {policy for server in servers if (policy := server.get("maxmemory_policy", "noeviction")) != "noeviction"}
    if forgetful:
        yield Finding("redis server", BAD, f"{said}; it drops data when it is full ({', '.join(forgetful)})", "set `maxmemory-policy noeviction`")
    else:
        yield Finding("redis server", GOOD, said)


def examine(arguments: argparse.Namespace) -> list[Finding]:
    """Do all checks. Raises ConfigError if the configuration cannot be read."""
    named = {"host": arguments.host, "port": arguments.port, "journal": arguments.journal, "redis": arguments.redis}
    config = read_config(arguments.config, os.environ, {name: value for name, value in named.items() if value is not None})
    looks: list[Callable[[], Iterator[Finding]]] = [
        python, dependencies, compiled, lambda: port(config), lambda: files(config), lambda: journal(config), clock,
    ]
    if config.redis:
        looks.append(lambda: redis(config.redis))
    return [finding for look in looks for finding in look()]


def run(arguments: argparse.Namespace) -> int:
    """Do all checks and print them. Returns the exit status: 1 if anything is bad."""
    findings = examine(arguments)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode([finding._asdict() for finding in findings])).decode())
    else:
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for finding in findings:
            table.add_row(MARKS[finding.verdict], finding.name, finding.what, style=None if finding.verdict == GOOD else "bold")
            if finding.advice:
                table.add_row("", "", f"→ {finding.advice}")
        Console(highlight=False).print(table)
    return 1 if any(finding.verdict == BAD for finding in findings) else 0
