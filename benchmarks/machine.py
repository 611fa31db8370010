"""What the figures were measured on."""

import os
import platform
import shutil
import time
from pathlib import Path


def describe() -> str:
    """The processor, its cores, the load of the last minute, and the interpreter."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    return f"{os.cpu_count()} x {processor}, load {os.getloadavg()[0]:.1f}, {platform.system()}, Python {platform.python_version()}"


def compiler() -> str | None:
    """The path of a C++ compiler, if there is one."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")


def processor_ns(pid: int) -> int:
    """Processor time that a process, all its threads together, has used since its start. Linux alone: clock_getcpuclockid(3) as the kernel counts."""
    return time.clock_gettime_ns(~pid << 3 | 2)
