"""How much a client may send on one connection, by the limits in the server's `welcome`. Takes the time, and says how long to wait.

Each message counts, and so do each channel of a subscription and every 4 KiB of an answer. What goes over the burst is a debt, and the server takes
nothing until it is paid. The client does not know when a message reaches the server, only that this is before the answer comes. So a message counts in
full until its answer has come, and is then forgotten at the server's rate. In this way a client never goes over, even if the network delivers what
it sent in bunches. Nor are more messages under way than may be.
"""

from collections.abc import Iterator

from stream.wire.bucket import ANSWER_BYTES_OF_A_MESSAGE, Bucket
from stream.wire.fields import Message
from stream.wire.messages import LoggedIn, Subscribe, Unsubscribe, Welcome

SUBSCRIPTIONS, MESSAGE_BYTES, MESSAGES_PER_S, MESSAGES_BURST, UNDER_WAY = 1000, 16 * 1024, 2000, 200, 1000
"""The limits of a server that does not name its own."""

CARE = 0.99
"""The share of the server's rate that the client uses. Both sides sum up floats, and the two sums may differ a little."""

LOOK = 10**6
"""While as many messages are under way as may be, look again after so many ns whether one has been answered."""

CHANNELS_MAX = 1024
"""The most channels in one request."""

HEAD_BYTES, NAME_BYTES, RESUME_BYTES = 64, 3, 23
"""The most bytes of an encoded subscription: for all but its channels; in front of the name of a channel; and after the name if the channel resumes."""


def cost_of(message: Message) -> int:
    """How many messages the server counts for this message."""
    return 1 + len(message.channels) if isinstance(message, Subscribe | Unsubscribe) else 1


class Allowance:
    """How much one connection may send."""

    def __init__(self, told: Welcome | None, now: int) -> None:
        self.subscriptions_max = (told and told.subscriptions_max) or SUBSCRIPTIONS
        self.message_bytes_max = (told and told.message_bytes_max) or MESSAGE_BYTES
        self.messages_per_s = (told and told.messages_per_s) or MESSAGES_PER_S
        self.messages_burst = (told and told.messages_burst) or MESSAGES_BURST
        self._bucket = Bucket(self.messages_per_s * CARE, self.messages_burst, now)
        self.under_way_max = (told and told.under_way_max) or UNDER_WAY
        self._under_way = self._unanswered = 0    # messages, and what they count as

    def signed_in(self, told: LoggedIn) -> None:
        """The client has signed in: the server may take longer messages now."""
        self.message_bytes_max = told.message_bytes_max or self.message_bytes_max

    def wait(self, now: int, spare: int = 0) -> int:
        """How long to wait before the next message, in ns, so that `spare` more may follow. Answers make it shorter, so ask again when one has come."""
        if self._under_way >= self.under_way_max:
            return LOOK
        short = self._unanswered + 1 + spare - self._bucket.level(now)
        return max(0, -int(-short * 10**9 // (self.messages_per_s * CARE)))

    def sent(self, cost: int) -> None:
        """A message that counts as `cost` messages has been sent."""
        self._under_way += 1
        self._unanswered += cost

    def answered(self, cost: int, now: int) -> None:
        """The answer to a message that counts as `cost` messages has come."""
        self._under_way -= cost > 0
        self._unanswered -= cost
        self._bucket.level(now)
        self._bucket.owe(cost)

    def heard(self, size: int, now: int) -> None:
        """A snapshot or an answer of `size` bytes has come. A long one counts as more messages."""
        if size >= ANSWER_BYTES_OF_A_MESSAGE:
            self._bucket.level(now)
            self._bucket.owe(size // ANSWER_BYTES_OF_A_MESSAGE)

    def exhausted(self, now: int) -> None:
        """The server has refused a message. It counts more than the client knows of, such as long answers that are still under way."""
        self._bucket.owe(max(0, int(self._bucket.level(now))))

    def parts(self, channels: list[str], resumed: bool) -> Iterator[list[str]]:
        """Split channels into as few requests as possible. If they are `resumed`, each also needs room to say where it resumes."""
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
