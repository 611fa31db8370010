"""What the compiled path of an order looks at in a connection, and keeps of it."""

from stream.feed.delivery cimport Outbox

from stream.feed.delivery import Traffic


cdef class Trader(Outbox):
    """A connection whose client may trade.

    `trades` says whether its requests about orders may go the short way: it is signed in, may trade, and speaks MessagePack. `account` is the client's,
    `quota` what that account may do; `guard` what its client has asked for in case that it ends. `under_way` counts its requests that have come and are
    not answered: there may be `under_way_max` of them, and `unanswered_max` of all connections together.
    """

    def __init__(self, traffic: Traffic, codec: object, bytes_max: int, account: int, guard: object, under_way_max: int, unanswered_max: int) -> None:
        super().__init__(traffic, codec, bytes_max)
        self.trades = False
        self.account = account
        self.quota = None
        self.guard = guard
        self.under_way = 0
        self.under_way_max = under_way_max
        self.unanswered_max = unanswered_max

    cpdef void began(self) noexcept:
        """One more request is under way."""
        self.under_way += 1
        self.traffic.unanswered += 1

    cpdef void ended(self) noexcept:
        """One has been answered."""
        self.under_way -= 1
        self.traffic.unanswered -= 1

    cpdef bint has_room(self) noexcept:
        """Whether one more may be under way. Who has none may always have one, so that nobody is kept out by what others have."""
        return not self.under_way or self.under_way < self.under_way_max and self.traffic.unanswered < self.unanswered_max
