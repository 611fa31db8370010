"""Reads the metrics of a server from `/metrics`, if they can be reached."""

import asyncio
import ssl
import time
from urllib.parse import urlsplit

import httpx
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_S = 5.0

POLL_S, NEW_S = 0.05, 1.0
"""A server makes its figures anew twice a second, however many ask for them."""

Figures = dict[str, float]
"""Values by name, and by name and labels as `name{value,value}`."""


def metrics_url(url: str) -> str:
    """Where the server of a WebSocket address has its metrics."""
    parts = urlsplit(url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}/metrics"


def read(text: str) -> Figures:
    """The figures of an exposition; none if it is empty."""
    return {
        sample.name + (f"{{{','.join(sample.labels.values())}}}" if sample.labels else ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Metrics:
    """The expositions of the server of a WebSocket address.

    They come through the loop of the caller, as the frames of the caller's clients do. So what the server counts as written has reached this machine when
    they are here, and only what the clients have not read yet is missing in their own counts, however busy the machine is.
    """

    def __init__(self, url: str) -> None:
        self._url = metrics_url(url)
        verify = ssl.create_default_context() if url.startswith("wss:") else False
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=verify)

    async def fetch(self) -> str:
        """The present one, which may be half a second old; "" if it cannot be had within TIMEOUT_S."""
        try:
            answer = await self._client.get(self._url)
            return answer.text if answer.is_success else ""
        except httpx.HTTPError:
            return ""

    async def fetch_new(self) -> str:
        """One that was made POLL_S ago at the most, unless the server takes longer than NEW_S to make another one. "" if it cannot be had."""
        known = text = await self.fetch()
        ends = time.monotonic() + NEW_S
        while text and text == known and time.monotonic() < ends:
            await asyncio.sleep(POLL_S)
            text = await self.fetch()
        return text

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()


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
