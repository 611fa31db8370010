"""`deltabook cluster`: shows the processes that Redis joins to one market."""

import argparse
import os

from rich.console import Console
from rich.table import Table

from stream.cluster.messages import LINK
from stream.cluster.overview import Overview, look
from stream.cluster.redis_client import TROUBLE, connect, keys_of, without_password
from stream.settings.config import ConfigError
from stream.system import loop

DEFAULT_REDIS = "redis://127.0.0.1:6379"

BEHIND_MS_MAX = 1500
"""A process that is this far behind, or further, counts as stale."""


def add_redis(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which market is meant."""
    here, name = os.environ.get("DELTABOOK_REDIS", DEFAULT_REDIS), os.environ.get("DELTABOOK_CLUSTER", "market")
    shown = without_password(here).replace("%", "%%")
    parser.add_argument("--redis", default=here, metavar="URL", help=f"the Redis that joins the market (default: {shown}; DELTABOOK_REDIS sets it)")
    parser.add_argument("--cluster", default=name, metavar="NAME", help="the market's name in Redis (default: %(default)s; DELTABOOK_CLUSTER sets it)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `cluster`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  deltabook cluster status                                    who leads, at which record, and how far each gateway is behind\n"
        "  deltabook cluster status --redis redis://10.0.0.1:6379 --cluster london"
    )
    parser.add_argument("what", choices=("status",), help="what to show")
    add_redis(parser)


def show(found: Overview) -> Table:
    """All processes in a table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("node", "role", "position", "behind", "clients", ""):
        table.add_column(heading, justify="right" if heading in ("position", "behind", "clients") else "left")
    table.add_row(found.leader or "nobody", "leads", f"{found.beat.position:,}", "", "", f"term {found.beat.term}")
    for each in sorted(found.nodes, key=lambda each: (each.role, each.name)):
        wrong = "silent" if each.origin in found.silent else "stale" if each.behind_ms >= BEHIND_MS_MAX else ""
        if each.link != LINK:
            wrong = f"version {each.link} of the link, this is {LINK}"
        table.add_row(each.name, each.role, f"{each.position:,}", f"{each.behind_ms:,} ms", f"{each.connections:,}", wrong)
    return table


def run(arguments: argparse.Namespace) -> int:
    """Show the processes. Returns the exit status: 1 if no process leads, or if one has fallen behind."""
    console = Console(highlight=False)
    try:
        found = loop.run(look(connect(arguments.redis), keys_of(arguments.cluster)))
    except TROUBLE as error:
        raise ConfigError(f"redis {without_password(arguments.redis)}: {error}") from error
    console.print(show(found))
    console.print(f"in redis: {found.batches:,} batches, {found.requests:,} requests, a snapshot of {found.snapshot_bytes:,} bytes")
    return int(not found.leader or bool(found.silent) or any(each.behind_ms >= BEHIND_MS_MAX for each in found.nodes))
