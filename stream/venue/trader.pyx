"""What the compiled path of an order looks at in a connection, and keeps of it."""

from stream.feed.delivery cimport Outbox

from stream.feed.delivery import Traffic


cdef class Trader(Outbox):
    """A connection whose client may trade.

    `trades` says whether its requests about orders may go the short way: it is signed in, may trade, and speaks MessagePack. `account` is the client's,
    `quota` what that account may do; `guard` what its client has asked for in case that it ends; `under_way` counts its requests about orders that are not
    answered.
    """

    def __init__(self, traffic: Traffic, codec: object, bytes_max: int, account: int, guard: object) -> None:
        super().__init__(traffic, codec, bytes_max)
        self.trades = False
        self.account = account
        self.quota = None
        self.guard = guard
        self.under_way = 0
