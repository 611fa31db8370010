"""What the engine raises."""

from engine.model import Reason


class EngineError(Exception):
    """The root of everything that the engine raises on purpose."""


class Rejected(EngineError):
    """A command was refused and changed nothing. `reason` says why, `order` is the order it concerns (0 for none)."""

    def __init__(self, reason: Reason, order: int = 0) -> None:
        super().__init__(reason, order)
        self.reason = reason
        self.order = order

    def __str__(self) -> str:
        return f"{self.reason.name} ({int(self.reason)})"


class Busy(EngineError):
    """Another thread's `Exchange.execute` is running; nothing was done. Call again when it has returned."""


class Inconsistent(EngineError):
    """`check()` found two parts of the engine that contradict each other."""


class BadSnapshot(EngineError):
    """Bytes that are not a snapshot of an exchange, or not a whole one, or of a version that is not known."""
