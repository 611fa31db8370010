"""Other WebSocket servers at the same work: each sends a payload of so many bytes, with the time in it, to all who are connected, so often.

A server is a program `bytes period_ns` that prints its port and serves until it is killed. `make peers` installs what they need;
those that are not installed do not take part.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from benchmarks.receiver import PLAIN, SOCKET_IO, Dialect

HERE = Path(__file__).parent
MODULES = HERE.parents[1] / "build" / "fanout_peers" / "node_modules"


class Peer(NamedTuple):
    """A server's name and version, how to start it, and how its clients speak."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    dialect: Dialect


def installed() -> list[Peer]:
    """Those that can take part."""
    peers = [
        Peer(f"{name} {version(name)}", [sys.executable, str(HERE / f"{name}_server.py")], os.environ, PLAIN)
        for name in ("websockets", "aiohttp") if find_spec(name)
    ]
    node = shutil.which("node")
    for name, dialect in (("ws", PLAIN), ("socket.io", SOCKET_IO)):
        package = MODULES / name / "package.json"
        if node and package.exists():
            full_name = f"Node {name} {json.loads(package.read_text())['version']}"
            peers.append(Peer(full_name, [node, str(HERE / f"{name}_server.js")], os.environ | {"NODE_PATH": str(MODULES)}, dialect))
    return peers
