"""As many connections as many instruments take, where a server allows a connection so many channels only."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from stream.client.client import Client, connect
from stream.client.errors import ClientError


async def deal(stack: AsyncExitStack, client: Client, token: str | None, names: Sequence[str], channels_each: int) -> list[tuple[Client, Sequence[str]]]:
    """Instruments dealt out to `client` and as many others as it takes, which `stack` closes. ClientError if even one instrument has too many channels."""
    most = client.allowance.subscriptions_max // channels_each
    if not most:
        raise ClientError(f"{channels_each} channels of one instrument: the server allows a connection {client.allowance.subscriptions_max}")
    shares = [names[at : at + most] for at in range(0, len(names), most)] or [names]
    others = [await stack.enter_async_context(connect(client.url, token)) for _ in shares[1:]]
    return list(zip([client, *others], shares, strict=True))
