"""What a client may send on one connection, as the server's welcome told it. Takes the time, and gives how long to wait.

Each message counts, each channel of a subscription, and every 4 KiB of an answer; the server makes a debt of what goes over the burst, and takes nothing
until that is paid. When a message reaches it nobody here knows, but it is before its answer: until then it counts, and from then on it is forgotten at
the server's rate. So a client never goes over, however the network bunches what it sent.
"""

from collections.abc import Iterator

from stream.wire.bucket import ANSWER_BYTES_OF_A_MESSAGE, Bucket
from stream.wire.fields import Message
from stream.wire.messages import LoggedIn, Subscribe, Unsubscribe, Welcome

SUBSCRIPTIONS, MESSAGE_BYTES, MESSAGES_PER_S, MESSAGES_BURST = 1000, 16 * 1024, 2000, 200
"""The limits of a server that does not tell them."""

CARE = 0.99
"""The share of the server's rate that is counted on: two sums of floats that should be equal are not."""

CHANNELS_MAX = 1024
"""Channels of one request."""

HEAD_BYTES, NAME_BYTES, RESUME_BYTES = 64, 3, 23
"""Of an encoded subscription, at most: all but its channels; what a channel's name has in front; and what is behind it where it resumes."""


def cost_of(message: Message) -> int:
    """As how many messages the server counts a message."""
    return 1 + len(message.channels) if isinstance(message, Subscribe | Unsubscribe) else 1


class Allowance:
    """One connection's."""

    def __init__(self, told: Welcome | None, now: int) -> None:
        self.subscriptions_max = (told and told.subscriptions_max) or SUBSCRIPTIONS
        self.message_bytes_max = (told and told.message_bytes_max) or MESSAGE_BYTES
        self.messages_per_s = (told and told.messages_per_s) or MESSAGES_PER_S
        self._bucket = Bucket(self.messages_per_s * CARE, (told and told.messages_burst) or MESSAGES_BURST, now)
        self._unanswered = 0

    def signed_in(self, told: LoggedIn) -> None:
        """The server may take longer messages now."""
        self.message_bytes_max = told.message_bytes_max or self.message_bytes_max

    def wait(self, now: int) -> int:
        """How long to wait before the next message, in ns; or to ask again, since answers make it shorter."""
        short = self._unanswered + 1 - self._bucket.level(now)
        return max(0, -int(-short * 10**9 // (self.messages_per_s * CARE)))

    def sent(self, cost: int) -> None:
        """A message is on its way."""
        self._unanswered += cost

    def answered(self, cost: int, now: int) -> None:
        """Its answer has come."""
        self._unanswered -= cost
        self._bucket.level(now)
        self._bucket.owe(cost)

    def heard(self, size: int, now: int) -> None:
        """A snapshot or an answer of so many bytes has come: a long one counts as more messages."""
        if size >= ANSWER_BYTES_OF_A_MESSAGE:
            self._bucket.level(now)
            self._bucket.owe(size // ANSWER_BYTES_OF_A_MESSAGE)

    def exhausted(self, now: int) -> None:
        """The server has refused a message: it counts more than is known here, such as long answers that are under way."""
        self._bucket.owe(max(0, int(self._bucket.level(now))))

    def parts(self, channels: list[str], resumed: bool) -> Iterator[list[str]]:
        """Channels in as few requests as they fit into; with the bytes that it takes to say of each where it resumes."""
        part: list[str] = []
        room = self.message_bytes_max - HEAD_BYTES
        for channel in channels:
            size = len(channel.encode()) + NAME_BYTES
            size += size + RESUME_BYTES if resumed else 0
            if part and (size > room or len(part) == CHANNELS_MAX):
                yield part
                part, room = [], self.message_bytes_max - HEAD_BYTES
            part.append(channel)
            room -= size
        if part:
            yield part
