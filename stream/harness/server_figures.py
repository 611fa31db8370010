"""Reads the metrics of a server from `/metrics`, if they can be reached."""

import asyncio
from http.client import HTTPException
from urllib.parse import urlsplit
from urllib.request import urlopen

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_S = 2.0

Figures = dict[str, float]
"""Values by name, and by name and labels as `name{value,value}`."""


def metrics_url(url: str) -> str:
    """Where the server of a WebSocket address has its metrics."""
    parts = urlsplit(url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}/metrics"


def read(text: str) -> Figures:
    """The figures of an exposition."""
    return {
        sample.name + (f"{{{','.join(sample.labels.values())}}}" if sample.labels else ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def fetch(url: str) -> Figures:
    """The present figures; none if they cannot be read."""

    def get() -> Figures:
        with urlopen(metrics_url(url), timeout=TIMEOUT_S) as answer:
            return read(answer.read().decode())

    try:
        return await asyncio.to_thread(get)
    except (OSError, ValueError, HTTPException):
        return {}


class ServerReport(Struct):
    """What a server did in a while, by its own account. `share` of a core and `memory` in bytes where it tells them."""

    share: float | None
    memory: float | None
    connections: int
    writes: int
    bytes: int
    merges: int
    catch_ups: int
    told_gaps: int
    resumed: dict[str, int]
    """Subscriptions by `reason,recovered`."""
    audit_failures: int
    paced_ms: int
    limits_hit: dict[str, int]


def compare(before: Figures, after: Figures, seconds: float) -> ServerReport | None:
    """What happened in between; None if it is not known."""
    if not before or not after:
        return None

    def more(name: str) -> int:
        return round(after.get(name, 0) - before.get(name, 0))

    def by_label(metric: str) -> dict[str, int]:
        names = [name for name in after if name.startswith(f"{metric}{{") and more(name)]
        return {name.partition("{")[2].removesuffix("}"): more(name) for name in names}

    busy = "process_cpu_seconds_total"
    return ServerReport(
        share=(after[busy] - before[busy]) / seconds if busy in after and busy in before else None,
        memory=after.get("process_resident_memory_bytes"),
        connections=round(after.get("deltabook_connections", 0)),
        writes=more("deltabook_writes_total"),
        bytes=more("deltabook_bytes_written_total"),
        merges=more("deltabook_merges_total"),
        catch_ups=more("deltabook_catch_ups_total"),
        told_gaps=more("deltabook_gaps_total"),
        resumed=by_label("deltabook_recoveries_total"),
        audit_failures=more("deltabook_audit_failures_total"),
        paced_ms=round(after.get("deltabook_loaded_interval_seconds", 0) * 1000),
        limits_hit=by_label("deltabook_limits_hit_total"),
    )
