"""The C++ reference: an array ladder without checks, with events, balances and fees, compiled from a folder beside the repository."""

import json
import subprocess
from pathlib import Path

from benchmarks.flow import Recording
from benchmarks.machine import compiler

_MAIN = """
#define main all_variants
#include "ref.cpp"
#undef main
int main(int, char** arguments) { Ops operations = toslots(load(arguments[1])); bench<Eng<2, true, 1, true>>("reference", operations, 1); }
"""


def build(limit: Path, into: Path) -> Path | None:
    """Compile `ref.cpp` of the folder `limit`; the program, or None without a compiler or the folder."""
    command = compiler()
    if command is None or not (limit / "ref.cpp").exists():
        return None
    source, program = into / "reference.cpp", into / "reference"
    source.write_text(_MAIN)
    subprocess.run([command, "-O3", "-march=native", "-std=c++17", "-w", "-I", str(limit), "-o", str(program), str(source)], check=True)
    return program


def run(program: Path, recording: Recording) -> float:
    """Run a recording once; ns an operation."""
    result = json.loads(subprocess.run([program, recording.path], check=True, capture_output=True, text=True).stdout)
    expected = recording.outcome
    if (result["trades"], result["tq"], result["live"]) != (expected.trades, expected.traded, expected.live):
        raise RuntimeError(f"the reference ended with {result}: expected {expected}")
    return float(result["ns_op"])
