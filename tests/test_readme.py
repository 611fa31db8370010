"""The README's code does what it says."""

import asyncio
import re
from pathlib import Path
from typing import Any

from stream.sources.recorded import RecordedSource
from tests.sockets import run, serving

README = Path(__file__).parents[1] / "README.md"


def blocks() -> list[str]:
    """The Python blocks, in order."""
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_engine_alone(capsys: Any) -> None:
    (block,) = [block for block in blocks() if "from engine" in block]
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.count("Event(") > 5
    assert "([], [6000000, 7500])" in printed


@run
async def test_ten_lines_of_client() -> None:
    (block,) = [block for block in blocks() if "connect(" in block]
    lines: list[str] = []
    async with serving(sources=[RecordedSource()], assets={}, instruments=(), deposit={}) as server:
        code = block.replace("ws://127.0.0.1:8080", f"ws://127.0.0.1:{server.port}").replace("asyncio.run(main())", "")
        names: dict[str, Any] = {"print": lines.append}
        exec(compile(code, "README.md", "exec"), names)
        reading = asyncio.ensure_future(names["main"]())
        while len(lines) < 3:
            await asyncio.sleep(0)
        reading.cancel()
    assert all("verified True" in line for line in lines)
