"""Which channels to follow, over as many connections as they need, since a server limits the channels of each connection."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from stream.client.client import Client, connect
from stream.client.errors import ClientError, RequestRefused
from stream.wire.channels import BY_ORDER, ChannelName
from stream.wire.codes import ErrorCode


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


async def shows_orders(client: Client, instrument: str) -> bool:
    """Whether the server shows the book of an instrument that it has order by order, too. A relay may not."""
    try:
        await client.market_by_order(instrument)
    except RequestRefused as refusal:
        if refusal.code not in (ErrorCode.UNKNOWN_CHANNEL, ErrorCode.UNKNOWN_INSTRUMENT):
            raise
        return False
    await client.unsubscribe([str(ChannelName(BY_ORDER, instrument))])
    return True
