"""What the figures were measured on."""

import os
import platform
import shutil
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def describe() -> str:
    """The processor, its cores, the load of the last minute, and the interpreter."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    return f"{os.cpu_count()} x {processor}, load {os.getloadavg()[0]:.1f}, {platform.system()}, Python {platform.python_version()}"


def cores() -> tuple[set[int], set[int]]:
    """The cores of the servers and of the clients."""
    mine = sorted(os.sched_getaffinity(0))
    return {mine[0]}, {mine[-1]}


def compiler() -> str | None:
    """The path of a C++ compiler, if there is one."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")


def processor_ns(pid: int) -> int:
    """Processor time that a process, all its threads together, has used since its start. Linux alone: clock_getcpuclockid(3) as the kernel counts."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def resident(pid: int | str = "self") -> tuple[int, int]:
    """Bytes of a process, this one by default, that are in memory, and the most that ever were. Linux alone."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    now, most = (int(status[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))
    return now, most


def in_fresh_process(run: Callable[[], Result], **environment: str) -> Result:
    """What `run` returns, in a new process that has imported what it needs and no more."""
    saved = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        pool = get_context("spawn").Pool(1)
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    with pool:
        return pool.apply(run)
