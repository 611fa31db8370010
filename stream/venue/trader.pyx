"""What the compiled path of an order looks at in a connection, and keeps of it."""

from stream.feed.delivery cimport Outbox

from stream.feed.delivery import Traffic


cdef class Trader(Outbox):
    """A connection whose client may trade.

    `trades` says whether its requests about orders may go the short way: it is signed in, may trade, and speaks MessagePack. `account` is the client's,
    `quota` what that account may do, `allowance` what this connection may send; `guard` what its client has asked for in case that it ends. `under_way`
    counts its requests that have come and are not answered: there may be `under_way_max` of them, and `unanswered_max` of all connections together.

    It was last heard at `heard_at`; `pinged` says whether it has been asked for a sign of life since then. From `check_at` on, a message has it looked at
    whether anything has lasted too long.
    """

    def __init__(
        self, traffic: Traffic, codec: object, bytes_max: int, account: int, guard: object, allowance: object, now: int, under_way_max: int, unanswered_max: int,
    ) -> None:
        super().__init__(traffic, codec, bytes_max)
        self.trades = False
        self.account = account
        self.quota = None
        self.allowance = allowance
        self.guard = guard
        self.heard_at = self.check_at = now
        self.pinged = False
        self.messages_received = 0
        self.under_way = 0
        self.under_way_max = under_way_max
        self.unanswered_max = unanswered_max

    cpdef str charge(self, Py_ssize_t size, int64_t now, bint control=False):
        """A frame of so many bytes has come, of a message or a control frame: take it off the allowances. The limit that it goes over, "" for none."""
        cdef str over = self.allowance.take(size, now, control)
        self.heard_at = now
        self.pinged = False
        if over:
            self.went_over(over)
        return over

    def went_over(self, over: str) -> None:
        """A frame went over a limit."""
        raise NotImplementedError

    cpdef bint lasts(self, int64_t now) except -1:
        """Whether what comes now is still to be answered."""
        if now >= self.check_at:
            self.check_time(now)
        return self.closed is None

    def check_time(self, now: int) -> None:
        """Time has passed: close what has lasted too long."""
        raise NotImplementedError

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
