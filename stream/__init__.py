"""Everything between the engine and a client's socket. Programs that use a server begin with `connect`."""

from stream.client.client import Client, connect
from stream.client.counts import Lots, Ticks, Units
from stream.client.errors import ClientError, Closed, ConnectionLost, RequestRefused, TooSlow
from stream.client.live import changes
from stream.client.redundant import RedundantFeed
from stream.wire.frames import Gap

__all__ = [
    "Client", "ClientError", "Closed", "ConnectionLost", "Gap", "Lots", "RedundantFeed", "RequestRefused", "Ticks", "TooSlow", "Units", "changes", "connect",
]
