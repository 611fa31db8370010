"""flash1's matching oracle: synthetic flow whose reports must hash to the published SHA-256.

A new order is a limit order, good till cancelled or immediate or cancel, named by its own id; a cancel is a cancel. A modify
always loses its place, so it is two replaces, the first of them to the far end of its side, at a price that nothing else has.
All this is known before anything is matched, so the flow runs in large batches. A price may be any 64-bit number: the engine
sees its rank among the file's prices, which matches alike.
"""

import re
import struct
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from itertools import count
from pathlib import Path

import msgspec

from engine import Commands, EventKind, Instrument, Reason, Side, TimeInForce
from stream.replay import Check, Progress, ReplayReport, Stage, read, silent

MAGIC = b"100_WBEM"
HEADER_BYTES = 16
RECORD = struct.Struct("<BBBxIQQq8x")
BATCH_BYTES = RECORD.size << 13

NEW, CANCEL, MODIFY = range(3)
UNKNOWN = {CANCEL: 4, MODIFY: 5}

Message = tuple[int, int, int, int, int, int, int]
"""Type, side, immediate or cancel, size, sequence, order id, price."""


class EdgeCase(msgspec.Struct):
    """An edge case: rows of type, side, immediate or cancel, size, order id, price; or text that describes them."""

    messages: list[tuple[int, int, int, int, int, int]] | str
    expected_sha256: str
    trades: int
    resting_orders_at_end: int


class Workload(msgspec.Struct):
    """What `flash1_workloads.json` says of one file."""

    expected_reports_sha256: str


def replay(path: Path, expect: str = "", progress: Progress = silent) -> ReplayReport:
    """Run a workload (.bin) or a file of edge cases (.json). ValueError if it cannot be read, or if no hash of the workload is known.

    `expect` is the workload's SHA-256 in hex; without it, it is looked up beside the file.
    """
    content = read(path)
    if ".json" in path.suffixes:
        return _replay_cases(msgspec.json.decode(content, type=dict[str, EdgeCase]), progress)
    records = memoryview(content)[HEADER_BYTES:]
    if not content.startswith(MAGIC) or len(records) % RECORD.size:
        raise ValueError(f"{path}: this is not a flash1 workload")
    expect = expect or _published_hash(path)
    matcher = _Matcher({message[6] for message in RECORD.iter_unpack(records)})
    for start in range(0, len(records), BATCH_BYTES):
        matcher.run(list(RECORD.iter_unpack(records[start : start + BATCH_BYTES])))
        progress(start, len(records))
    return matcher.report(Check("hash of all reports", 1, int(matcher.hash.hexdigest() == expect), 1))


def _replay_cases(cases: dict[str, EdgeCase], progress: Progress) -> ReplayReport:
    """Run every edge case on an exchange of its own. The report's hash is over all of theirs."""
    reports: list[ReplayReport] = []
    for name, case in cases.items():
        messages = list(_case_messages(case.messages))
        matcher = _Matcher({message[6] for message in messages})
        matcher.run(messages)
        found = matcher.hash.hexdigest(), matcher.trades, matcher.stage.exchange.order_count
        equal = found == (case.expected_sha256, case.trades, case.resting_orders_at_end)
        reports.append(matcher.report(Check(name.replace("_", " "), 1, int(equal), 1)))
        progress(len(reports), len(cases))
    return ReplayReport(
        "flash1",
        commands=sum(report.commands for report in reports),
        events=sum(report.events for report in reports),
        trades=sum(report.trades for report in reports),
        checks=tuple(check for report in reports for check in report.checks),
        seconds=sum(report.seconds for report in reports),
        hash=sha256("\n".join(report.hash for report in reports).encode()).hexdigest(),
    )


def _case_messages(messages: list[tuple[int, int, int, int, int, int]] | str) -> Iterator[Message]:
    """The messages of an edge case, the text being like `NEW(i,SELL,1,100) for i=1..9 then NEW(10,BUY,9,100,ioc=1)`."""
    if isinstance(messages, str):
        messages = [row for part in messages.split(" then ") for row in _described(part)]
    for seq, (kind, side, immediate, size, order, price) in enumerate(messages):
        yield kind, side, immediate, size, seq, order, price


def _described(text: str) -> Iterator[tuple[int, int, int, int, int, int]]:
    found = re.fullmatch(r"NEW\((\w+),(BUY|SELL),(\d+),(-?\d+)(,ioc=1)?\)(?: for i=(\d+)\.\.(\d+))?", text)
    if not found:
        raise ValueError(f"messages {text!r}: expected NEW(id,side,size,price) for i=first..last")
    order, side, size, price, immediate, first, last = found.groups()
    for number in range(int(first), int(last) + 1) if first else (int(order),):
        yield NEW, Side[side], 1 if immediate else 0, int(size), number, int(price)


def _published_hash(path: Path) -> str:
    """The hash that stands beside the workload, in `flash1_workloads.json` or in a file of its own."""
    plain = path.name[: path.name.index(".bin") + 4] if ".bin" in path.name else path.name
    workloads = path.with_name("flash1_workloads.json")
    if workloads.exists():
        for name, workload in msgspec.json.decode(workloads.read_bytes(), type=dict[str, Workload]).items():
            if name.startswith(plain):
                return workload.expected_reports_sha256
    own = path.with_name(re.sub(r"^flash1_(\w+)_n\d+\.bin$", r"flash1_published_hash_\1.txt", plain))
    if own.suffix == ".txt" and own.exists():
        return own.read_text().split()[0]
    raise ValueError(f"{path}: expected a file with the published hash beside it, or a hash given with --expect")


class _Matcher:
    """Messages in, the hash of their reports out."""

    def __init__(self, prices: set[int]) -> None:
        """`prices` are all that the messages name. The ranks below and above theirs are for orders on their way."""
        self._prices = [0, 0, *sorted(prices)]
        self._ranks = {price: rank for rank, price in enumerate(self._prices[2:], 2)}
        self._parked = {Side.BUY: 1, Side.SELL: len(self._prices)}
        self._separator = ""
        self._commands = Commands()
        terms = Instrument("FLASH1", "LOT", "TICK", Decimal(1), Decimal(1), price_max=len(self._prices), size_max=(1 << 32) - 1)
        self.stage = Stage(terms, {"LOT": 0, "TICK": 0}, client_ids_max=0)
        self.trades = 0
        self.hash = sha256()

    def report(self, check: Check) -> ReplayReport:
        return self.stage.report("flash1", self.trades, (check,), self.hash.hexdigest())

    def run(self, messages: list[Message]) -> None:
        """Run the messages as one batch. ValueError where one breaks the oracle's rules."""
        commands, ranks = self._commands, self._ranks
        for kind, side, immediate, size, _, order, price in messages:
            if kind == NEW:
                commands.place(0, 0, side, ranks[price], size, time_in_force=TimeInForce.IOC if immediate else TimeInForce.GTC, client_id=order + 1)
            elif kind == CANCEL:
                commands.cancel(0, client_id=order + 1)
            else:
                commands.replace(0, 0, self._parked[Side(side)], size, client_id=order + 1)
                commands.replace(0, 0, ranks[price], size, client_id=order + 1)
        self.stage.run(commands)
        self.hash.update((self._separator + "\n".join(self._reports(messages))).encode())
        self._separator = "\n"

    def _reports(self, messages: list[Message]) -> Iterator[str]:
        """The oracle's lines. The first event of a command says how it went, its fills the maker's before the taker's, and an unfilled rest follow."""
        prices = self._prices
        batches = map(self.stage.exchange.events.batch, count())
        for kind, side, immediate, size, seq, order, price in messages:
            if kind == MODIFY:
                next(batches)
            answer, *others = next(batches)
            if answer.kind == EventKind.REJECTED:
                if answer.reason != Reason.UNKNOWN_ORDER:
                    raise ValueError(f"message {seq}: the engine refused order {order}: {Reason(answer.reason).name}")
                yield f"{UNKNOWN[kind]},{seq},{order}"
                continue
            if kind == CANCEL:
                yield f"2,{seq},{answer.side},{order},{prices[answer.price]}"
                continue
            if kind == NEW:
                yield f"0,{seq},{side},{order},{price},{size}"
            fills = [event for event in others if event.kind == EventKind.FILLED]
            for maker in fills[::2]:
                yield f"1,{seq},{prices[maker.price]},{maker.size},{maker.client_id - 1},{order}"
            self.trades += len(fills) // 2
            if kind == MODIFY:
                yield f"3,{seq},{side},{order},{price},{size}"
            elif immediate and any(event.kind == EventKind.CANCELLED for event in others):
                yield f"2,{seq},{side},{order},{price}"
