"""The Autobahn suite's fuzzing client against the server's message layer, with echoes in place of the market.

    python -m tests.wire.autobahn PYTHON2 FOLDER

`PYTHON2` is the command of a Python 2.7 that has `autobahntestsuite`, see `autobahn.sh`. Prints what the suite says of its sections 1 to 7,
9 and 10 (12 and 13 are of compression, which the server does not offer), leaves its reports in the folder, and exits with 1 if a case fails.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

import stream.server.server
import stream.wire.fragments
from stream.server.market_server import MarketServer
from stream.server.server import Connection
from stream.settings.config import Config
from stream.wire.codec import Codec
from stream.wire.framing import BINARY, TEXT, framed

SECTIONS = {
    1: "messages", 2: "pings and pongs", 3: "reserved bits", 4: "opcodes", 5: "fragments", 6: "UTF-8", 7: "closing", 9: "size and speed",
    10: "fragments in bulk",
}
AGENT = "deltabook"
GOOD = {"OK", "INFORMATIONAL", "NON-STRICT"}

MAY_FAIL = {"7.1.2"}
"""picows reads one frame ahead, and breaks the connection off when it reads a second close frame together with the first."""


class Echo:
    """A message as it came, for a session to send."""

    def __init__(self, opcode: int, payload: bytes) -> None:
        self._frame = framed(opcode, payload)

    def frame(self, codec: Codec) -> bytes:
        """The message as a WebSocket frame."""
        return self._frame


class EchoConnection(Connection):
    """A connection of the server's whose whole messages go back as they are."""

    def on_ws_connected(self, transport: Any) -> None:
        super().on_ws_connected(transport)
        self.session.take_out()    # the welcome, which no test of the suite waits for

    def received(self, opcode: int, payload: bytes, over: str) -> None:
        if opcode in (TEXT, BINARY):
            self.session.push(Echo(opcode, payload))    # type: ignore[arg-type]
            self.write()
        else:
            super().received(opcode, payload, over)


async def verdicts(python2: str, folder: Path) -> dict[str, str]:
    """What the suite says of each case."""
    stream.server.server.Connection = EchoConnection    # type: ignore[misc]
    stream.wire.fragments.FRAGMENTS_MAX = 1 << 17    # the suite sends up to 65,536
    server = MarketServer(Config(
        port=0, message_bytes_max=1 << 25, anonymous_message_bytes_max=1 << 25, pending_bytes_max=1 << 28,
        messages_per_s=1 << 20, messages_burst=1 << 20, bytes_per_s=1 << 40, bytes_burst=1 << 40,
    ))
    await server.start()
    spec = folder / "spec.json"
    spec.write_text(json.dumps({
        "outdir": str(folder), "servers": [{"agent": AGENT, "url": f"ws://127.0.0.1:{server.port}/v1"}],
        "cases": [f"{section}.*" for section in SECTIONS], "exclude-cases": [], "exclude-agent-cases": {},
    }))
    run = "import sys; from autobahntestsuite.wstest import run; sys.argv = ['wstest', '-m', 'fuzzingclient', '-s', sys.argv[1]]; run()"
    suite = await asyncio.create_subprocess_exec(python2, "-c", run, str(spec), stdout=subprocess.DEVNULL)
    await suite.wait()
    await server.stop()
    report = json.loads((folder / "index.json").read_text())[AGENT]
    return {case: verdict["behavior"] for case, verdict in report.items()}


def main() -> int:
    """The command line."""
    python2, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    found = uvloop.run(verdicts(python2, folder))
    for section, name in SECTIONS.items():
        counts = Counter(behavior for case, behavior in found.items() if case.partition(".")[0] == str(section))
        print(f"{section:>2}  {name:<18}", ", ".join(f"{count} {behavior.lower()}" for behavior, count in counts.most_common()))
    failed = {case for case, behavior in found.items() if behavior not in GOOD}
    print("failed:", ", ".join(sorted(failed)) or "none")
    return bool(failed - MAY_FAIL)


if __name__ == "__main__":
    sys.exit(main())
