"""The metrics of a server for Prometheus, read from the venue when they are requested."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from stream.venue.venue import Venue

PROCESS = ProcessCollector(registry=None)
"""Processor time, memory and open files of this process, if the system provides them."""

TYPE = "text/plain; version=0.0.4; charset=utf-8"
AGE_NS = 500_000_000


class VenueCollector(Collector):
    """A venue's figures as metrics."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def collect(self) -> Iterator[Metric]:
        """All metrics, now."""
        venue, counters = self._venue, self._venue.hub.counters
        for name, meaning, value, counter in venue.figures():
            yield (CounterMetricFamily if counter else GaugeMetricFamily)(name, meaning, value=value)
        yield GaugeMetricFamily("deltabook_stale", "Whether what is shown may have fallen behind", value=bool(venue.stale_since))
        yield GaugeMetricFamily("deltabook_connections", "Open connections", value=len(venue.sessions))
        yield CounterMetricFamily("deltabook_connections_opened", "Connections ever opened", value=venue.connections_opened)
        yield GaugeMetricFamily("deltabook_connections_stalled", "Connections whose socket is full", value=sum(not s.writable for s in venue.sessions))
        yield CounterMetricFamily("deltabook_frames_made", "Frames encoded for all listeners of a conflation", value=counters.frames_made)
        yield CounterMetricFamily("deltabook_writes", "Writes to sockets", value=venue.traffic.writes)
        yield CounterMetricFamily("deltabook_bytes_written", "Bytes handed to sockets", value=venue.traffic.bytes_written)
        yield CounterMetricFamily("deltabook_heartbeats", "Frames without a change", value=counters.heartbeats)
        yield CounterMetricFamily("deltabook_merges", "Frames that fold in several batches", value=counters.merges)
        yield CounterMetricFamily("deltabook_catch_ups", "Merged frames for one client that had been slow", value=counters.catch_ups)
        yield CounterMetricFamily("deltabook_gaps", "Lossless channels that went on with a snapshot", value=counters.gaps)
        yield CounterMetricFamily("deltabook_audited_frames", "Book frames that the server has checked as a client would", value=venue.audit.frames)
        yield CounterMetricFamily("deltabook_audit_failures", "Of those, frames that made a wrong book: raise an alarm", value=venue.audit.failures)
        yield GaugeMetricFamily("deltabook_loaded_interval_seconds", "Shortest interval that the load allows", value=venue.load_shedding.interval_ms / 1000)
        waited = HistogramMetricFamily("deltabook_held_back_seconds", "From a change to the frame that tells of it", labels=["interval_ms"])
        for interval, histogram in counters.waited.items():
            waited.add_metric([str(interval)], histogram.buckets(), histogram.total)
        yield waited
        for name, meaning, histogram in (
            ("deltabook_lag_seconds", "How late the event loop is", venue.lags),
            ("deltabook_tick_seconds", "Length of a tick: commands, answers, frames and writes", venue.ticks),
        ):
            family = HistogramMetricFamily(name, meaning)
            family.add_metric([], histogram.buckets(), histogram.total)
            yield family
        subscriptions = GaugeMetricFamily("deltabook_subscriptions", "Subscriptions", labels=["channel"])
        totals: dict[str, int] = {}
        for conflation in venue.hub.conflations:
            kind = conflation.channel.name.partition(":")[0]
            totals[kind] = totals.get(kind, 0) + len(conflation.subscriptions)
        for kind, total in totals.items():
            subscriptions.add_metric([kind], total)
        yield subscriptions
        recovered = CounterMetricFamily("deltabook_recoveries", "How subscriptions were brought up to date", labels=["recovered", "reason"])
        for (outcome, reason), count in counters.recovered.items():
            recovered.add_metric([outcome, reason], count)
        yield recovered
        yield CounterMetricFamily("deltabook_key_set_failures", "How often the key set could not be had", value=venue.authenticator.keys.failures)
        yield GaugeMetricFamily("deltabook_revocations", "Tokens and subjects that are revoked", value=len(venue.authenticator.revocations))
        hit = CounterMetricFamily("deltabook_limits_hit", "How often a limit was reached, by the name of its setting", labels=["limit"])
        for limit, count in venue.limits.hit.items():
            hit.add_metric([limit], count)
        yield hit


def exposition(venue: Venue) -> bytes:
    """The metrics in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(VenueCollector(venue))
    registry.register(PROCESS)
    return generate_latest(registry)


class Exposition:
    """The metrics, computed at most twice per second, however many requests there are."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._made_at = -AGE_NS
        self._text = b""

    def at(self, now: int) -> bytes:
        """The text, as of `now` or a little earlier."""
        if now - self._made_at >= AGE_NS:
            self._text, self._made_at = exposition(self._venue), now
        return self._text
