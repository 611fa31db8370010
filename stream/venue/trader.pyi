from typing_extensions import disjoint_base

from stream.feed.delivery import Outbox, Traffic
from stream.venue.allowances import AccountAllowance
from stream.venue.safeguards import Guard
from stream.wire.codec import Codec

@disjoint_base
class Trader(Outbox):
    trades: bool
    account: int
    quota: AccountAllowance | None
    guard: Guard
    under_way: int
    def __init__(self, traffic: Traffic, codec: Codec, bytes_max: int, account: int, guard: Guard) -> None: ...
