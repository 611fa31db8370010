"""A pytest plugin that stands in for pytest-benchmark: benchmarks are run one sample at a time, when another process says so.

`benchmarks.compare` has two builds run the same benchmarks in two processes, and lets them take turns of some milliseconds: what
the machine does meanwhile befalls both alike. Beside each sample stands the time of a yardstick, fixed work in C that no change of ours can change.
"""

import gc
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from random import Random
from typing import Any

import pytest

PIPE = "DELTABOOK_LOCKSTEP"
"""The variable that names the file descriptor of the other end."""

SAMPLE_S = 0.004
"""What one sample takes at least, without preparations."""

SETUP_S = 0.05
"""What the preparations of one sample take at most, if it is of more than one run."""

NUMBERS = Random(1).sample(range(1 << 40), 8_000)


def yardstick() -> float:
    """The time of a fixed piece of work, in s."""
    began = time.perf_counter()
    sorted(NUMBERS)
    return time.perf_counter() - began


class Lockstep:
    """What a benchmark gets as its fixture `benchmark`."""

    def __init__(self, link: Connection, name: str) -> None:
        self._link = link
        self._name = name
        self.extra_info: dict[str, Any] = {}

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Measure calls without preparation."""
        result = function(*args, **kwargs)

        def sample(loops: int) -> float:
            turns = range(loops)
            began = time.perf_counter()
            for _ in turns:
                function(*args, **kwargs)
            return time.perf_counter() - began

        self._serve(sample, lambda loops, seconds: seconds > SAMPLE_S)
        return result

    def pedantic(self, function: Callable[..., Any], *, setup: Callable[[], Any], **_: Any) -> None:
        """Measure calls that each have a preparation, which is not measured."""
        prepared = 0.0

        def sample(loops: int) -> float:
            nonlocal prepared
            seconds = prepared = 0.0
            for _ in range(loops):
                began = time.perf_counter()
                args, kwargs = setup()
                ready = time.perf_counter()
                function(*args, **kwargs)
                seconds += time.perf_counter() - ready
                prepared += ready - began
            return seconds

        self._serve(sample, lambda loops, seconds: seconds > SAMPLE_S or prepared > SETUP_S)

    def _serve(self, sample: Callable[[int], float], is_enough: Callable[[int, float], bool]) -> None:
        """Say how many calls make a sample, then take samples of as many calls as the other side asks for, until it asks for none."""
        loops = 1
        while not is_enough(loops, sample(loops)):
            loops *= 2
        self._link.send((self._name, loops))
        gc.collect()
        while loops := self._link.recv():
            gc.disable()
            seconds = sample(loops)
            gc.enable()
            self._link.send((seconds / loops, yardstick()))


@pytest.fixture
def benchmark(request: pytest.FixtureRequest) -> Lockstep:
    """The link is there for the whole run."""
    return Lockstep(request.config.stash[LINK], request.node.nodeid)


LINK = pytest.StashKey[Connection]()


def pytest_configure(config: pytest.Config) -> None:
    """Find the other side."""
    config.stash[LINK] = Connection(int(os.environ[PIPE]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say which benchmarks there are."""
    session.config.stash[LINK].send([item.nodeid for item in session.items])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Say that there are no more."""
    session.config.stash[LINK].send(None)
