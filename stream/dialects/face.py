"""The dialects of a market, each on its port."""

from collections.abc import Mapping
from typing import Any

from stream.dialects.binance.dialect import Binance
from stream.dialects.kraken.dialect import Kraken
from stream.market.exchange_venue import ExchangeVenue
from stream.server.http_port import HttpPort
from stream.server.server import Server
from stream.settings.config import ConfigError

DIALECTS: dict[str, type[Binance] | type[Kraken]] = {"binance": Binance, "kraken": Kraken}


def start_dialects(dialects: Mapping[str, int], server: Server) -> list[HttpPort[Any]]:
    """Serve a server's market in these dialects, each on its port. ConfigError if one is unknown, or if the market cannot be shown in it."""
    market = server.venue
    faces = []
    for name, port in dialects.items():
        if name not in DIALECTS:
            raise ConfigError(f"dialects: {name!r}: expected one of {', '.join(DIALECTS)}")
        if not isinstance(market, ExchangeVenue):
            raise ConfigError("dialects: a relay has no market of its own; expected the server of a market, or of a journal that is played")
        face: HttpPort[Any] = HttpPort(server, DIALECTS[name](market, server.clock.now()), "dialects")
        face.start(port)
        faces.append(face)
    return faces
