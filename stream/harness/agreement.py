"""Whether two channels say the same of one book: its price levels, and the orders that add up to them."""

from stream.client.live import LiveBook, LiveByOrder


class Agreement:
    """Both copies of a book. They stood at the same sequence `compared` times, and `differed` so many of these."""

    def __init__(self, levels: LiveBook, orders: LiveByOrder) -> None:
        self._levels = levels
        self._orders = orders
        self.compared = self.differed = 0
        levels.on(self._look)
        orders.on(self._look)

    def _look(self, _: object) -> None:
        """O(1) for a full book, O(levels) for a window."""
        levels, orders = self._levels.mirror, self._orders.mirror
        if levels.resume is None or levels.resume != orders.resume:
            return
        self.compared += 1
        depth = self._levels.in_force.depth if self._levels.in_force else 0
        if depth:
            self.differed += orders.queues.depth(depth) != levels.depth()
        else:
            self.differed += orders.queues.levels_digest != levels.levels.digest
