"""How many orders each account has placed in the present ten seconds and on the present day. Both begin by the clock, as the venues count them."""

SPANS = {"10S": 10 * 10**9, "1D": 86_400 * 10**9}


class OrderCounts:
    """What each account has placed. Holds no more than the accounts of the present day."""

    def __init__(self) -> None:
        self._spans = dict.fromkeys(SPANS, 0)
        self._counts: dict[str, dict[int, int]] = {name: {} for name in SPANS}

    def add(self, account: int, now: int) -> None:
        """One more."""
        self.read(account, now)
        for counts in self._counts.values():
            counts[account] = counts.get(account, 0) + 1

    def read(self, account: int, now: int) -> dict[str, int]:
        """How many there are, by the name of the span."""
        for name, length in SPANS.items():
            if now // length != self._spans[name]:
                self._spans[name] = now // length
                self._counts[name].clear()
        return {name: counts.get(account, 0) for name, counts in self._counts.items()}
