"""`deltabook serve`: serves a market, or the relay of one, on a TCP port, until it is told to stop."""

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
from rich.console import Console

from stream.access.keys import read_keys
from stream.cli import complain
from stream.cluster.engine_server import Node
from stream.cluster.gateway_server import start_redis_gateway, start_worker
from stream.cluster.redis_client import without_password
from stream.cluster.workers import Workers
from stream.dialects.face import start_dialects
from stream.journal.format import Damaged, JournalError
from stream.market.trial import note_crashes
from stream.relay.relay_server import RelayServer
from stream.rest.rest import Rest
from stream.server.http_port import HttpPort, Peer
from stream.server.market_server import MarketServer, PlaybackServer
from stream.server.reception import ENDPOINT
from stream.server.server import Server
from stream.settings.config import FLAGS, Config, ConfigError, Role, read_config, settings
from stream.sources import Source
from stream.sources.recorded import RecordedSource
from stream.sources.simulated import SimulatedSource
from stream.system import loop
from stream.system.logs import start_logging

EXAMPLES = """examples:
  deltabook serve --source recorded                      a real market, in a loop, on http://localhost:8080/
  deltabook serve --source recorded --source simulated   the same, and simulated instruments
  deltabook serve --source journal:data/journal --set speed=10   the whole history of a journal, ten times as fast
  deltabook serve --source recorded --dialect binance=9000
                                                         the same, and clients of Binance's spot protocol on port 9000
  deltabook serve --source recorded --rest 8081          the same, and a REST API on http://localhost:8081/
  deltabook serve --upstream ws://127.0.0.1:8080/v1 --port 8081
                                                         the public channels of another server
  deltabook serve --upstream ws://127.0.0.1:8080/v1 --port 8081 --faults drop=0.01,reorder=0.01,corrupt=0.01,cut=0.001,delay_ms=50,seed=7
                                                         the same over a bad connection, to test a client
  deltabook serve --source recorded --workers 2          two more processes serve its clients, on the same port
  deltabook serve --role engine --redis redis://127.0.0.1:6379 --port 8090
  deltabook serve --role gateway --redis redis://127.0.0.1:6379
                                                         one market in many processes, joined by Redis
  deltabook serve --config venue.toml --port 9000        settings from a file, but the port from the flag
"""

PARENT_S = 0.5
REPLACED = 75
"""The exit status of an engine that another one has replaced. If it is started again, it becomes a standby."""

UNRECOVERABLE = 65
"""The exit status if the journal cannot be recovered. Starting again does not help."""


def settings_help() -> str:
    """The help on all settings, two lines for each."""
    lines = ["settings (in a TOML file, as DELTABOOK_NAME in the environment, or with --set name=value):"]
    lines += [f"  {setting.name} = {setting.default}\n      {setting.meaning}" for setting in settings()]
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `serve`. If a flag is not given, the environment and the file decide its setting."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{EXAMPLES}\n{settings_help()}"
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with settings")
    parser.add_argument("--host", help="the address to listen on")
    parser.add_argument("--port", type=int, help="the TCP port to listen on, 0 for any free port")
    parser.add_argument("--source", action="append", metavar="SOURCE",
                        help="where orders come from, besides the clients: recorded, simulated (or both), none; or journal:FOLDER, to play that journal again")
    parser.add_argument("--upstream", metavar="URL", help="relay the public channels of this server, instead of serving a market")
    parser.add_argument("--journal", metavar="FOLDER",
                        help="the folder that each command is written to before it runs; none: no journal (default: data/journal)")
    parser.add_argument("--faults", metavar="NAME=VALUE,...", help="inject faults, to test clients: see the setting `faults`")
    parser.add_argument("--workers", type=int, metavar="N",
                        help="how many extra processes serve the clients on the one port (default: the process that runs the orders serves them)")
    parser.add_argument("--dialect", action="append", metavar="NAME=PORT",
                        help="serve the market in another venue's protocol as well, on a port of its own: binance=9000, kraken=9001")
    parser.add_argument("--rest", type=int, metavar="PORT", help="serve a REST API as well, on a port of its own; its page is on http://localhost:PORT/")
    parser.add_argument("--role", choices=get_args(Role), help="what this process does in a market that Redis joins (default: all)")
    parser.add_argument("--redis", metavar="URL", help="the Redis that joins the market")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting, by its name")


def config_of(arguments: argparse.Namespace) -> Config:
    """The configuration from the flags, the environment and the file. Raises ConfigError if it is not allowed."""
    flags: dict[str, Any] = {}
    for text in arguments.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: expected NAME=VALUE")
        try:
            flags[name] = msgspec.json.decode(value) if value[:1] in ("[", "{") else value
        except msgspec.DecodeError as error:
            raise ConfigError(f"--set {text}: {error}") from error
    if arguments.faults is not None:
        flags["faults"] = dict(part.partition("=")[::2] for part in arguments.faults.split(","))
    if arguments.dialect is not None:
        flags["dialects"] = dict(part.partition("=")[::2] for part in arguments.dialect)
    named = {name: getattr(arguments, flag.removeprefix("--")) for name, flag in FLAGS.items() if name not in ("faults", "dialects")}
    config = read_config(arguments.config, os.environ, flags | {name: value for name, value in named.items() if value is not None})
    if (config.role == "all") == bool(config.redis or config.engine_socket):
        raise ConfigError(f"role {config.role}, redis {without_password(config.redis) or 'none'}: expected a Redis and a role other than `all`, or neither")
    if config.dialect_workers and not (config.dialects and (config.workers or config.engine_socket)):
        raise ConfigError(f"dialect_workers {config.dialect_workers}: expected a dialect, and workers for the other clients")
    if config.redis and (config.workers or config.upstream or config.played):
        which = "workers" if config.workers else "upstream" if config.upstream else f"sources journal:{config.played}"
        raise ConfigError(f"{which}: not allowed in a market that Redis joins; start as many gateways as are needed to serve its clients")
    return config


def sources_of(config: Config) -> list[Source]:
    """The sources of the configuration."""
    sources: list[Source] = []
    for name in dict.fromkeys(config.sources):
        if name == "recorded":
            sources.append(RecordedSource(config.speed))
        elif name == "simulated":
            sources.append(SimulatedSource(config.seed, config.rate))
    return sources


def spare_the_past() -> None:
    """Let the garbage collector skip what exists already, and run it less often. A server makes few cycles, and clients wait while it runs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def server_of(config: Config) -> MarketServer | PlaybackServer | RelayServer:
    """The server of a market or of a journal that is played, or a relay if there is an upstream. Raises ConfigError if the settings contradict each other."""
    keys, sources = read_keys(config), sources_of(config)
    if not config.upstream:
        return PlaybackServer(config, keys) if config.played else MarketServer(config, keys, sources)
    if sources or config.played:
        raise ConfigError("upstream: a relay cannot have sources of its own; remove the sources or the upstream")
    return RelayServer(config, keys)


class Hangup:
    """Handles SIGHUP. The server reads keys and revocations again, as soon as there is a server. If its terminal is gone, it stops instead."""

    def __init__(self, stopped: asyncio.Event) -> None:
        self._stopped = stopped
        self._attended = os.isatty(0)
        self._reload: Callable[[], None] | None = None
        self._came_early = False
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._come)

    def reloads(self, reload: Callable[[], None]) -> None:
        """There is a server now: `reload` lets it read keys and revocations again."""
        self._reload = reload
        if self._came_early:
            reload()

    def _come(self) -> None:
        if self._attended and not os.isatty(0):
            self._stopped.set()
        elif self._reload:
            self._reload()
        else:
            self._came_early = True


async def serve(config: Config, console: Console) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    hangup = Hangup(stopped)
    if config.role in ("engine", "standby"):
        return await lead(config, console, stopped, hangup)
    if config.workers and not config.engine_socket:
        return await serve_with_workers(config, console, stopped, hangup)
    if config.engine_socket:
        end_with_parent(stopped)
    server = await start_server(config, stopped)
    if server is None:
        return 0
    faces = start_dialects(config.dialects, server)
    rest = start_rest(server)
    hangup.reloads(server.reload)
    spare_the_past()
    if isinstance(server, MarketServer):
        note_crashes(config)
    names = [terms.name for terms in server.venue.instrument_terms()]
    console.print(f"deltabook relays {config.upstream}" if config.upstream else f"deltabook serves {', '.join(names) or 'no instrument'}")
    tell_where(config, server.port, server.admin_port, console, bool(server.venue.authenticator.keys))
    tell_other_ports(config, {name: face.port for name, face in zip(config.dialects, faces, strict=True)}, rest.port if rest else None, console)
    if not names and not config.upstream and config.role == "all":
        console.print("  next       nothing is traded here: `deltabook init` writes settings for --config, and `--source simulated` shows a market that moves")
    if isinstance(server, MarketServer) and config.journal != "none":
        at = server.market.point(0)
        console.print(f"  journal    {config.journal}, epoch {at.epoch}, {at.seq:,} events so far; `--journal none` keeps none")
    await stopped.wait()
    console.print("leaving")
    await server.stop()
    return 1 if server.venue.failure else 0


def start_rest(server: Server) -> HttpPort[Peer] | None:
    """Serve a server's venue over plain HTTP, if a port is set for that. ConfigError if the port cannot be had."""
    if server.config.rest_port is None:
        return None
    port = HttpPort[Peer](server, Rest(server.venue, server.shares[1]), "rest_port")
    port.start(server.config.rest_port)
    return port


async def start_server(config: Config, stopped: asyncio.Event) -> Server | None:
    """Start the server that clients connect to. Returns None if it was stopped before it could listen."""
    if config.role == "gateway":
        start = start_worker if config.engine_socket else start_redis_gateway
        starting = asyncio.create_task(start(config, read_keys(config)))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            return starting.result()
        starting.cancel()
        return None
    server = server_of(config)
    await server.start()
    return server


async def serve_with_workers(config: Config, console: Console, stopped: asyncio.Event, hangup: Hangup) -> int:
    """Run the orders in this process, and serve the clients in other processes. Returns the exit status."""
    if config.upstream or config.played:
        raise ConfigError("workers: expected 0 for a relay, or for a journal that is played again")
    workers = Workers(config, read_keys(config), sources_of(config))
    await workers.start()
    hangup.reloads(workers.reload)
    spare_the_past()
    note_crashes(config)
    console.print(f"deltabook serves {', '.join(terms.name for terms in workers.server.venue.instrument_terms()) or 'no instrument'}")
    tell_where(config, workers.port, workers.server.admin_port, console, bool(workers.server.venue.authenticator.keys))
    tell_other_ports(config, workers.dialects, workers.rest_port, console)
    metrics = f"; metrics of the engine on http://127.0.0.1:{workers.server.port}/metrics" if config.admin_port is None else ""
    more = f", and {config.dialect_workers} for {', '.join(config.dialects)}" if config.dialect_workers else ""
    console.print(f"  {config.workers} workers there{more}{metrics}")
    await stopped.wait()
    console.print("leaving")
    await workers.stop()
    return 1 if workers.server.venue.failure else 0


def end_with_parent(stopped: asyncio.Event) -> None:
    """Stop when the process that started this one is gone."""
    parent, loop = os.getppid(), asyncio.get_running_loop()

    def look() -> None:
        if os.getppid() == parent:
            loop.call_later(PARENT_S, look)
        else:
            stopped.set()

    look()


def tell_where(config: Config, port: int, admin_port: int | None, console: Console, signs_in: bool) -> None:
    """Print the addresses for clients and for administrators, and how to sign in if there is a key."""
    host, admin_host = (f"[{host}]" if ":" in host else host for host in (config.host, config.admin_host))
    console.print(f"  page       http://{host}:{port}/")
    console.print(f"  WebSocket  ws://{host}:{port}{ENDPOINT}")
    command = sys.argv[0] if Path(sys.argv[0]).name == "deltabook" else "deltabook"
    console.print(f"  verify     {command} verify ws://{host}:{port}{ENDPOINT} --seconds 20{' --faulty' if config.faults else ''}")
    if admin_port:
        console.print(f"  admin      ws://{admin_host}:{admin_port}{ENDPOINT}, http://{admin_host}:{admin_port}/metrics")
    if config.faults:
        console.print(f"  [red]faults     {msgspec.json.encode(config.faults).decode()}: this server is for testing clients only[/red]")
    if not config.keys and signs_in:
        console.print(f"  sign in    with a token that `{command} token alice` prints in this folder; the key is {config.key_file}")


def tell_other_ports(config: Config, dialects: Mapping[str, int], rest: int | None, console: Console) -> None:
    """Print the addresses of the dialects and of the REST API."""
    for name, port in dialects.items():
        console.print(f"  {name:<10} http://{config.host}:{port}/api/v3/, ws://{config.host}:{port}/stream")
    if rest:
        console.print(f"  REST       http://{config.host}:{rest}/")


async def lead(config: Config, console: Console, stopped: asyncio.Event, hangup: Hangup) -> int:
    """Follow, and lead when no other node does. Returns the exit status: REPLACED if another node leads now."""
    node = Node(config, read_keys(config), lambda: sources_of(config), stopped)
    console.print(f"deltabook node {node.name}: follows until it may lead")
    server = await node.follow()
    if server is None:
        return 0
    hangup.reloads(server.reload)
    spare_the_past()
    note_crashes(config)
    console.print(f"deltabook node {node.name}: leads, term {node.term}; metrics on port {server.port}")
    await stopped.wait()
    console.print("leaving")
    await node.stop()
    return REPLACED if node.failure else 1 if server.venue.failure else 0


def run(arguments: argparse.Namespace) -> int:
    """Serve. Returns the exit status."""
    console = Console(highlight=False, soft_wrap=True)
    config = config_of(arguments)
    start_logging()
    try:
        return loop.run(serve(config, console))
    except Damaged as damaged:
        complain("serve", damaged)
        return UNRECOVERABLE
    except JournalError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        what = f"journal {config.played or config.journal}" if error.filename else f"cannot listen on {config.host} port {config.port}"
        raise ConfigError(f"{what}: {error.strerror}") from error
