"""How the server sheds load: while it is loaded, it sends books and tickers less often, to all clients.

The sign of load is lag: how late the event loop runs what was scheduled for a certain time.
"""

from stream.settings.config import Config

MILLISECOND = 10**6


class LoadShedding:
    """Decides which of the configured steps is in force. `lag` is the latest lag, in ns."""

    def __init__(self, config: Config, now: int) -> None:
        self._steps = (0, *config.loaded_intervals_ms)
        self._lag_max = config.lag_ms_max * MILLISECOND
        self._patience = config.load_patience_ms * MILLISECOND
        self._step = 0
        self._since = now    # when the lag last crossed the limit
        self.lag = 0

    @property
    def interval_ms(self) -> int:
        """The shortest interval of books and tickers that is in force, in ms; 0: each subscription's own."""
        return self._steps[self._step]

    def observe(self, lag: int, now: int) -> bool:
        """Take in a lag in ns. Returns whether another step is in force now. A step up needs a high lag for the whole patience, a step down a low lag."""
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
