"""What the clients of one role saw: counts, and latencies as HdrHistograms that can be added up and sent."""

from hdrh.histogram import HdrHistogram
from msgspec import Struct, field

from stream.harness.server_figures import Figures

HIGHEST_US = 3_600 * 10**6
DIGITS = 3
BITS = 12
"""Of a time in us that are noted, the highest ones: four digits and a bit."""



class Times:
    """Times in us. `note` costs some 200 ns; what was noted is put into the histogram by `fold`."""

    def __init__(self, encoded: str = "") -> None:
        self.histogram = HdrHistogram.decode(encoded) if encoded else HdrHistogram(1, HIGHEST_US, DIGITS)
        self.noted: dict[int, int] = {}

    def note(self, ns: int) -> None:
        """Note a time in ns; less than 1 us counts as that."""
        us = max(1, ns // 1000)
        drop = max(0, us.bit_length() - BITS)    # so that what is noted is of few different times, however late all are
        us = us >> drop << drop
        self.noted[us] = self.noted.get(us, 0) + 1

    def fold(self) -> list[float]:
        """Take in what was noted since the last time; its median and its 99th percentile in ms, or nothing if there was nothing."""
        noted, self.noted = self.noted, {}
        total, seen = sum(noted.values()), 0
        cuts: list[float] = []
        for us in sorted(noted):
            self.histogram.record_value(us, noted[us])
            seen += noted[us]
            while len(cuts) < 2 and seen >= total * (0.5, 0.99)[len(cuts)]:
                cuts.append(us / 1000)
        return cuts

    def corrected(self, expected_ms: int) -> "Times":
        """The same, corrected for coordinated omission: a late time hides others that could not even begin.

        If a time is longer than the expected interval, the times that were due meanwhile are added, each shorter by one interval.
        """
        more = Times()
        for item in self.histogram.get_recorded_iterator():
            us = self.histogram.get_lowest_equivalent_value(item.value_iterated_to)
            more.histogram.record_corrected_value(us, expected_ms * 1000, item.count_at_value_iterated_to)
        return more

    def clear(self) -> None:
        """Forget all."""
        self.__init__()    # type: ignore[misc]

    def encoded(self) -> str:
        """The histogram in HdrHistogram's own compressed form."""
        return str(self.histogram.encode().decode())

    def add(self, encoded: str) -> None:
        """Take in another histogram."""
        self.histogram.decode_and_add(encoded)

    def ms(self, percentile: float) -> float:
        """A percentile of the times, in ms; 0 if there were none."""
        return float(self.histogram.get_value_at_percentile(percentile)) / 1000 if self.count else 0.0

    @property
    def count(self) -> int:
        """How many times there were, with those that were added by correction."""
        return int(self.histogram.get_total_count())


class Counts(Struct):
    """The counts of one role."""

    clients: int = 0
    connected: int = 0
    deliveries: int = 0
    """Frames of any channel."""
    updates: int = 0
    """What was in them: batches of the engine, trades, tickers, own events."""
    bytes: int = 0
    """With the heads of WebSocket frames."""
    snapshots: int = 0
    heartbeats: int = 0
    merged: int = 0
    """Book frames that hold several batches."""
    digests: int = 0
    """Book frames whose digest was compared."""
    requests: int = 0
    refused: int = 0
    unanswered: int = 0

    gaps: int = 0
    """Frames that did not fit what the client had."""
    told_gaps: int = 0
    """Gaps of a lossless channel that the server told of."""
    wrong: int = 0
    """Frames after which a book's digest was not the server's."""
    lost: int = 0
    """Connections that were lost, or could not be had, other than by the client's will."""
    returns: int = 0
    current: int = 0
    patched: int = 0
    snapshotted: int = 0
    """Channels resumed with nothing, with a merged patch, with a snapshot."""


LASTING = ("clients", "connected", "gaps", "told_gaps", "wrong", "lost")
"""Those of the counts that hold for the whole run, and not only from when all clients are there."""


def add(counts: Counts, other: Counts) -> None:
    """Add to each count that of others."""
    for name in Counts.__struct_fields__:
        setattr(counts, name, getattr(counts, name) + getattr(other, name))


class Tally:
    """What one role saw."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.delivery = Times()    # from the making of a frame to its receipt
        self.age = Times()         # from the latest command in a book's frame to its receipt
        self.response = Times()    # from when a request was due to its answer

    @property
    def times(self) -> tuple[Times, Times, Times]:
        """All times."""
        return self.delivery, self.age, self.response

    def begin(self) -> None:
        """All clients are there: count from here, but for what was wrong before."""
        fresh = Counts()
        for name in Counts.__struct_fields__:
            if name not in LASTING:
                setattr(self.counts, name, getattr(fresh, name))
        for times in self.times:
            times.clear()

    def told(self) -> "Told":
        """All of it, to be sent."""
        return Told(self.counts, *(times.encoded() for times in self.times))

    def add(self, told: "Told") -> None:
        """Take in what another process saw."""
        add(self.counts, told.counts)
        for times, encoded in zip(self.times, (told.delivery, told.age, told.response), strict=True):
            times.add(encoded)


class Told(Struct):
    """A tally that can be sent: histograms in HdrHistogram's compressed form."""

    counts: Counts
    delivery: str
    age: str
    response: str


class Sample(Struct, tag=True):
    """What a process saw since its last sample. Times in ms, `share` of a core, `problem`: the latest, in words."""

    turn: int
    """In half seconds since the run began."""
    connected: int
    deliveries: int
    bytes: int
    wrong: int
    p50: float | None
    p99: float | None
    share: float
    lag: float
    problem: str = ""


class ShiftReport(Struct, tag=True):
    """All that a process saw. `offset` is what the server's clock is ahead, in ns, known to within `accuracy`."""

    told: dict[str, Told]
    seconds: float
    share: float
    memory: int
    lag: str
    offset: int
    accuracy: int
    before: Figures
    after: Figures
    """What the server said of itself when this began to count, and when it ended."""
    problems: dict[str, int] = field(default_factory=dict)
