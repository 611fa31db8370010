"""Decides which web pages may connect. Only browsers send the origin of a page, and it can be trusted; the host name in the request cannot.

A page of this server may connect. Its origin is then the host that the request names. But that proves nothing if strangers can point that name at any
address (DNS rebinding). So it counts only if nobody else can own the name: an address, `localhost`, this machine's name, or an origin that the setting
`origins` lists.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from stream.server.http_request import split_host

DEFAULT_PORTS = {"http": "80", "https": "443"}


class Origins:
    """The origins that may connect: those in `allowed`, and the server's own under one of its `names`."""

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
