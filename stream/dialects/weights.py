"""How much of the requests' weight each address has used in the present minute. Minutes are those of the clock, as the venues count them."""

from stream.access.addresses import block_of

MINUTE = 60 * 10**9


class Weights:
    """What each address has used. `weight_max` is what one may use in a minute. Holds no more than the addresses of the present minute."""

    def __init__(self, weight_max: int) -> None:
        self.weight_max = weight_max
        self._minute = 0
        self._used: dict[str, int] = {}
        self.refused = 0

    def take(self, address: str, weight: int, now: int) -> tuple[int, int]:
        """Use some. Returns what the address has used in this minute and, if that is too much, after how many seconds it may come back; else 0."""
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._used.clear()
        block = block_of(address)
        used = self._used.get(block, 0) + weight
        self._used[block] = min(used, self.weight_max + 1)
        if used <= self.weight_max:
            return used, 0
        self.refused += 1
        return used, -(-((self._minute + 1) * MINUTE - now) // 10**9)
