"""Finds the address of a client. All forms of an address count as one, and behind a trusted proxy it is the address that the proxy names."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import chain

from stream.settings.config import ConfigError

Address = IPv4Address | IPv6Address

MAPPED = IPv6Network("::ffff:0:0/96")
NAT64 = IPv6Network("64:ff9b::/96")
TEXT_MAX = 64
KEPT = 1 << 8
"""The last addresses whose reading is kept: each is read several times in one handshake, and again when its client comes back."""

PREFIX = 64
"""Of an IPv6 address, the part that one customer has."""

PAIR = re.compile(r"""[ \t]*(?:([!#$%&'*+.^_`|~\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~\w-]*)))?[ \t]*([;,]|$)""", re.ASCII)
"""One parameter of RFC 7239's `Forwarded`, or none, and what ends it."""


class Proxies:
    """The trusted proxies, which may say where a client is. Raises ConfigError for anything that is not an address or a network."""

    def __init__(self, trusted: Iterable[str]) -> None:
        try:
            self._networks = [unmapped(ip_network(text, strict=False)) for text in trusted]
        except ValueError as error:
            raise ConfigError(f"trusted_proxies: {error}") from error

    def trusts(self, address: Address) -> bool:
        """Whether it is one of them."""
        return any(address in network for network in self._networks)

    def client_of(self, peer: str, forwarded_for: Sequence[str], forwarded: Sequence[str]) -> str:
        """The client behind a peer, by the lines of `X-Forwarded-For` and `Forwarded`, to which each proxy adds at the end.

        It walks back from the last entry, as long as the proxies are trusted. An entry that is not an address, such as `unknown`, ends the walk at the proxy
        that added it. So do two headers that disagree: a proxy that writes one of them passes on what the client wrote in the other. If an address appears
        for the second time, the request comes from a program on a proxy's machine, which may have written everything before it.
        """
        address = parse(peer)
        if address is None:
            return peer
        if not self.trusts(address):
            return str(address)
        chains = [entries for entries in (comma_separated(forwarded_for), list(chain.from_iterable(map(for_parameters, forwarded)))) if entries]
        clients = {self._walk(address, entries) for entries in chains}
        return str(clients.pop() if len(clients) == 1 else address)

    def _walk(self, hop: Address, entries: list[str]) -> Address:
        seen = {hop}
        while entries and self.trusts(hop):
            before = parse(entries.pop())
            if before is None or before in seen:
                break
            hop = before
            seen.add(hop)
        return hop


def unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """A network. An IPv4 network that is written as an IPv6 one is returned as IPv4."""
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - MAPPED.prefixlen))
    return network


def comma_separated(lines: Sequence[str]) -> list[str]:
    """The entries of a header that is a list, over all its lines."""
    return [entry for line in lines for entry in line.split(",")]


def for_parameters(line: str) -> list[str]:
    """The `for` of every element of a line of `Forwarded`, "" where there is none; [""] if the line cannot be read."""
    found, here, at = [], "", 0
    while True:
        pair = PAIR.match(line, at)
        if pair is None:
            return [""]
        name, quoted, plain, end = pair.groups()
        if name and name.lower() == "for":
            here = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        if end != ";":
            found.append(here)
            here = ""
        if not end:
            return found
        at = pair.end()


def parse(text: str) -> Address | None:
    """An address from text, with or without brackets, port and zone. An IPv4 address written as IPv6 is returned as IPv4. None for anything else."""
    text = text.strip()
    return _parse(text) if len(text) <= TEXT_MAX else None


@lru_cache(KEPT)
def _parse(text: str) -> Address | None:
    port = ""
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return None
        port = port[1:]
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
    if port and not re.fullmatch(r"\d{1,5}|_[\w.-]+", port, re.ASCII):
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address if isinstance(address, IPv4Address) else within(address)


def within(address: IPv6Address) -> Address:
    """The IPv4 address that an IPv6 one stands for: mapped, by 6to4, Teredo or NAT64; else itself, and with a zone only where that is part of it."""
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    plain = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
    return plain or (address if address.is_link_local else IPv6Address(int(address)))


def block_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 address. Link-local addresses all share one /64, so each of them counts by itself."""
    parsed = parse(address)
    return address if parsed is None else _block(parsed)


@lru_cache(KEPT)
def _block(address: Address) -> str:
    if isinstance(address, IPv4Address) or address.is_link_local:
        return str(address)
    return str(ip_network((address, PREFIX), strict=False))
