"""Which clients of other venues are installed, and how one is started."""

import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = ""
"""The package of a client that is not Python's."""

MODULES = {"books": "client_books", "trade": "client_traders"}


def require(name: str, packages: Mapping[str, str]) -> None:
    """Skip a test whose client is not installed."""
    package = packages[name]
    there = find_spec(package) if package else shutil.which("node") and (ROOT / "build/dialect_clients/node_modules" / name.removeprefix("npm-")).exists()
    if not there:
        pytest.skip(f"{name} is not installed: `make dialects` installs it")


def command(name: str, packages: Mapping[str, str], what: str) -> list[str]:
    """What starts a client. Its URLs and the rest go behind."""
    if packages[name]:
        return [sys.executable, "-m", f"tests.dialects.{MODULES[what]}", name]
    return ["node", "tests/dialects/node_clients.mjs", what, name]
