"""Everything between the engine and a client's socket. `connect` is a client's way in."""

from stream.client import Client, connect
from stream.frames import Gap
from stream.live import ClientError, Closed, ConnectionLost, RequestRefused, TooSlow, changes
from stream.redundant import RedundantFeed

__all__ = ["Client", "ClientError", "Closed", "ConnectionLost", "Gap", "RedundantFeed", "RequestRefused", "TooSlow", "changes", "connect"]
