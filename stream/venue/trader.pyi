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
    @property
    def under_way(self) -> int: ...
    @property
    def under_way_max(self) -> int: ...
    @property
    def unanswered_max(self) -> int: ...
    def __init__(
        self, traffic: Traffic, codec: Codec, bytes_max: int, account: int, guard: Guard, under_way_max: int, unanswered_max: int,
    ) -> None: ...
    def began(self) -> None: ...
    def ended(self) -> None: ...
    def has_room(self) -> bool: ...
