"""The wheel that `make wheel` has built, in an environment where no compiler can be found; and how the editable install of a clone is found."""

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.docs.documents import Running

ROOT = Path(__file__).parents[2]
PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"
WHEELS = list((ROOT / "build" / "wheels").glob(f"deltabook-*-{PYTHON}-*.whl"))

CLIENT = """
import asyncio, sys, deltabook

async def main():
    async with deltabook.connect(sys.argv[1]) as client:
        book = await client.orderbook("ETH-USDT")
        async for frame in book:
            assert book.verified
            break
    print(deltabook.__version__, deltabook.Exchange().seq)

asyncio.run(main())
"""


@pytest.mark.skipif(not WHEELS, reason="there is no wheel: `make wheel` builds it")
def test_the_wheel_serves_where_there_is_no_compiler(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    bare = {"PATH": str(binaries), "HOME": str(tmp_path)} | {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    assert all(shutil.which(compiler, path=bare["PATH"]) is None for compiler in ("cc", "gcc", "clang", "c++"))

    def call(*words: str) -> str:
        done = subprocess.run([binaries / words[0], *words[1:]], cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("python", "-m", "pip", "install", "--quiet", "--only-binary", ":all:", str(WHEELS[0]))
    server = Running([str(binaries / "deltabook"), "serve", "--source", "simulated", "--journal", "none", "--port", "0"], tmp_path, bare)
    try:
        assert server.until(lambda said: "WebSocket" in said and said.endswith("\n")), server.said
        url = server.said.partition("WebSocket  ")[2].split()[0]
        assert "every book was the server's book" in call("deltabook", "verify", url, "--seconds", "2")
        assert call("python", "-c", CLIENT, url).split()[0] == version("deltabook")
    finally:
        server.process.terminate()
        server.finish()


def test_an_editable_install_is_found_by_paths(tmp_path: Path) -> None:
    """As type checkers look for it."""
    code = "from importlib.machinery import PathFinder as find; print(*(find.find_spec(name).origin for name in ('deltabook', 'engine', 'stream')))"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout.split() == [str(ROOT / name / "__init__.py") for name in ("stream/face/deltabook", "engine", "stream")]
