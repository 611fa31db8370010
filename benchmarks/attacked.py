"""A real server as strangers find it: few descriptors, a journal, an IPv6 socket, a port for administrators on IPv6, and HAProxy before it."""

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import cores

DESCRIPTORS = 1024
DEPOSIT = {"USDT": "1000000000", "ETH": "1000", "SOL": "1000", "XRP": "100000"}
NICE = 19
"""So that attackers, and the proxy that they come through, do not take the processor from the honest clients, who would not share a machine with them."""

HAPROXY = shutil.which("haproxy")
PROXY_ADDRESS = "127.0.1.1"
PROXY_SETTINGS = """
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
frontend market
    maxconn 2000
    bind {ipv4}
    bind {ipv6}
    option forwardfor
    default_backend market
backend market
    server here 127.0.0.1:{port} source {source}
"""


class Way(NamedTuple):
    """A way to the server: `host` is where it is reached, and tells from which addresses."""

    name: str
    host: str
    port: int


class Attacked(NamedTuple):
    """A server: its process, its port on 127.0.0.1, and all the ways to it."""

    pid: int
    port: int
    ways: list[Way]


def held(ip: str) -> socket.socket:
    """A port that a process of ours may listen on (with SO_REUSEPORT), and nobody else takes meanwhile."""
    holder = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((ip, 0))
    return holder


@contextmanager
def serving(folder: Path, secret: str, rate: int) -> Iterator[Attacked]:
    """`deltabook serve` with simulated markets. What it says on stderr goes to `folder/log`."""
    settings: dict[str, Any] = {
        "host": "::ffff:127.0.0.1", "admin_host": "::1", "admin_port": 0, "rate": rate, "deposit": json.dumps(DEPOSIT),
        "keys": json.dumps([{"algorithm": "HS256", "key": secret}]),
        "journal": folder / "journal", "journal_segment_bytes": 1 << 20, "journal_reserve_bytes": 0, "trusted_proxies": json.dumps([PROXY_ADDRESS]),
    }
    command = [sys.executable, "-u", "-m", "stream", "serve", "--port", "0", "--source", "simulated"]
    command += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    servers, clients = cores()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        os.sched_setaffinity(0, servers)

    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("w"))
        server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=limit))
        stack.callback(server.terminate)
        os.sched_setaffinity(0, clients)
        assert server.stdout is not None
        said = ""
        while "  journal" not in said and server.poll() is None:
            said += server.stdout.readline()
        port, admin_port = (int(found) for found in re.findall(r"(?:page|admin) +\w+://\[[^\]]+\]:(\d+)", said))
        ways = [Way("IPv4", "127.0.0.1", port), Way("administrators' port, IPv6", "::1", admin_port)]
        if HAPROXY:
            holders = [stack.enter_context(held(ip)) for ip in ("127.0.0.1", "::1")]
            ipv4, ipv6 = (holder.getsockname()[1] for holder in holders)
            (folder / "proxy").write_text(PROXY_SETTINGS.format(ipv4=f"127.0.0.1:{ipv4}", ipv6=f"[::1]:{ipv6}", port=port, source=PROXY_ADDRESS))
            proxy = stack.enter_context(subprocess.Popen(["nice", "-n", str(NICE), HAPROXY, "-q", "-f", str(folder / "proxy")], stderr=subprocess.DEVNULL))
            stack.callback(proxy.terminate)
            ways += [Way("HAProxy, IPv4", "127.0.0.1", ipv4), Way("HAProxy, IPv6", "::1", ipv6)]
        else:
            print("haproxy is not installed: nobody comes through a proxy", file=sys.stderr)
        yield Attacked(server.pid, port, ways)
