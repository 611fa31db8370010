"""Spreads instruments over as many connections as they need, since a server limits the channels of each connection."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from stream.client.client import Client, connect
from stream.client.errors import ClientError


async def deal(stack: AsyncExitStack, client: Client, token: str | None, names: Sequence[str], channels_each: int) -> list[tuple[Client, Sequence[str]]]:
    """Spread instruments over `client` and as many more clients as needed, which `stack` closes.

    Raises ClientError if even one instrument has too many channels.
    """
    most = client.allowance.subscriptions_max // channels_each
    if not most:
        raise ClientError(f"one instrument needs {channels_each} channels, but the server allows a connection only {client.allowance.subscriptions_max}")
    shares = [names[at : at + most] for at in range(0, len(names), most)] or [names]
    others = [await stack.enter_async_context(connect(client.url, token)) for _ in shares[1:]]
    return list(zip([client, *others], shares, strict=True))
