"""Which web pages may connect. Only browsers say where a page is from, and they do not lie about it; about the name that led there anybody can.

A page that is from this very server may. Its origin is then the host that the request names, but that proves nothing where the name is one that
strangers can point at any address (DNS rebinding): so it counts only where nobody else can own it: an address, `localhost`, this machine's name,
or an origin that the setting `origins` lists.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from stream.server.http_request import split_host

DEFAULT_PORTS = {"http": "80", "https": "443"}


class Origins:
    """Those that may connect: `allowed`, and the server's own under one of its own `names`."""

    def __init__(self, allowed: Iterable[str], names: Iterable[str]) -> None:
        self._allowed = {origin.rstrip("/").lower() for origin in allowed}
        self._names = {name.lower() for name in names}

    def let_in(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may connect that has reached this server as `host`."""
        if "*" in self._allowed or origin.lower() in self._allowed:
            return True
        try:
            url = urlsplit(origin)
        except ValueError:
            return False
        default = DEFAULT_PORTS.get(url.scheme)
        if default is None or url.path or url.query or url.fragment:
            return False
        name, port = split_host(url.netloc)
        sent_name, sent_port = split_host(host)
        return (name, port or default) == (sent_name, sent_port or default) and self._own(name)

    def _own(self, name: str) -> bool:
        try:
            ip_address(name)
        except ValueError:
            return name in self._names or name == "localhost" or name.endswith(".localhost")
        return True
