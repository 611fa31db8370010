"""Recordings of other markets. They are fed into the engine, and its results are compared with what the recordings say.

Each format has a module with `replay(path, ...)`. It turns what was recorded into commands, runs them, and compares what the
engine says with what the recording says. Knows no socket and no server.
"""

import gzip
import lzma
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from engine import MONEY_MAX, Commands, Exchange, Instrument, OrderBook

Progress = Callable[[int, int], None]
"""Called with how much is done, and how much there is in all."""


def silent(done: int, total: int) -> None:
    """The Progress that does nothing."""


@dataclass(frozen=True)
class Check:
    """One check: how often the engine was compared with the recording, how often they agreed, and how often they must agree."""

    name: str
    checked: int
    equal: int
    expected: int

    @property
    def passed(self) -> bool:
        """Whether there was anything to compare, and enough of it was equal."""
        return self.checked > 0 and self.equal >= self.expected


@dataclass(frozen=True)
class ReplayReport:
    """The result of a recording in the engine. `hash` is that of the format's own reports, or of the engine's last state."""

    format: str
    commands: int
    events: int
    trades: int
    checks: tuple[Check, ...]
    seconds: float
    hash: str

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


class Stage:
    """An exchange with one instrument and some rich accounts, for one recording to play on."""

    def __init__(self, instrument: Instrument, decimals: Mapping[str, int], accounts: int = 1, client_ids_max: int = 1 << 16) -> None:
        self.started = time.perf_counter()
        self.commands = 0
        self.exchange = Exchange(client_ids_max=client_ids_max)
        for name, places in decimals.items():
            self.exchange.add_asset(name, places)
        self.exchange.add_instrument(instrument)
        self.book: OrderBook = self.exchange.book(instrument.name)
        for _ in range(accounts):
            account = self.exchange.open_account()
            for asset in range(len(decimals)):
                self.exchange.deposit(account, asset, MONEY_MAX // accounts)

    def run(self, commands: Commands) -> int:
        """Execute the commands as one group, and clear them. Returns how many were refused."""
        self.commands += len(commands)
        refused = self.exchange.execute(commands)
        commands.clear()
        return refused

    def report(self, format: str, trades: int, checks: tuple[Check, ...], hash: str = "") -> ReplayReport:
        """The result so far. `trades` is their number, `hash` the format's own, "" for that of the engine's state, which costs O(orders and accounts)."""
        hash = hash or f"{self.exchange.state_hash():016x}"
        return ReplayReport(
            format=format, commands=self.commands, events=self.exchange.seq, trades=trades, checks=checks,
            seconds=time.perf_counter() - self.started, hash=hash,
        )


def read(path: Path, member: str = "") -> bytes:
    """The content of a file, uncompressed by its suffix. For a .zip, it is the one member with `member` in its name. Raises ValueError if that fails."""
    content = path.read_bytes()
    try:
        match path.suffix:
            case ".gz":
                return gzip.decompress(content)
            case ".xz":
                return lzma.decompress(content)
            case ".zip":
                with zipfile.ZipFile(path) as archive:
                    [name] = (name for name in archive.namelist() if member in name)
                    return archive.read(name)
            case _:
                return content
    except (EOFError, ValueError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: expected a complete {path.suffix} file with one member named *{member}*: {error}") from error


def companion(path: Path, old: str, new: str) -> Path:
    """The file beside `path` with `new` instead of `old` in its name, compressed or not. Raises FileNotFoundError if there is none."""
    plain = path.name.replace(old, new).removesuffix(".gz").removesuffix(".xz")
    for name in (plain, f"{plain}.gz", f"{plain}.xz"):
        if name != path.name and path.with_name(name).exists():
            return path.with_name(name)
    raise FileNotFoundError(f"{path}: expected another file beside it, with the same name but {new!r} instead of {old!r}")


def scaled(text: str, decimals: int) -> int:
    """Decimal text in units of 10 ** -decimals, exactly. Raises ValueError if it is not a whole number of these units."""
    try:
        value = Decimal(text).scaleb(decimals)
        whole = int(value)
    except (ArithmeticError, ValueError):
        raise ValueError(f"{text!r}: expected a decimal number") from None
    if value != whole:
        raise ValueError(f"{text!r}: expected at most {decimals} decimals")
    return whole
