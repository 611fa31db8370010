"""How much the server takes on: under load books and tickers are sent less often, to everybody, until it is over.

The sign of load is lag: how late the event loop runs what it has promised to run at a time.
"""

from stream.settings.config import Config

MILLISECOND = 10**6


class Load:
    """Which of the configured steps is in force. `lag` is the latest one, in ns."""

    def __init__(self, config: Config, now: int) -> None:
        self._steps = (0, *config.loaded_intervals_ms)
        self._lag_max = config.lag_ms_max * MILLISECOND
        self._patience = config.load_patience_ms * MILLISECOND
        self._step = 0
        self._since = now    # when the lag last was on the other side
        self.lag = 0

    @property
    def interval_ms(self) -> int:
        """The shortest interval of books and tickers that is in force, in ms; 0: each subscription's own."""
        return self._steps[self._step]

    def observe(self, lag: int, now: int) -> bool:
        """Take in a lag in ns; whether another step is in force now. A step up needs lag, and one down the lack of it, for the whole patience."""
        busy = lag > self._lag_max
        if busy != (self.lag > self._lag_max):
            self._since = now
        self.lag = lag
        step = min(self._step + 1, len(self._steps) - 1) if busy else max(self._step - 1, 0)
        if step == self._step or now - self._since < self._patience:
            return False
        self._step = step
        self._since = now
        return True
