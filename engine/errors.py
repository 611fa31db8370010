"""The exceptions that the engine raises."""

from engine.model import Reason


class EngineError(Exception):
    """The base class of everything that the engine raises on purpose."""


class Rejected(EngineError):
    """A command was refused and changed nothing. `reason` says why, and `order` is the order that it is about (0 for none)."""

    def __init__(self, reason: Reason, order: int = 0) -> None:
        super().__init__(reason, order)
        self.reason = reason
        self.order = order

    def __str__(self) -> str:
        return f"{self.reason.name} ({int(self.reason)})"


class Busy(EngineError):
    """`Exchange.execute` is running in another thread, and this call did nothing. Call again when it has returned."""


class Inconsistent(EngineError):
    """`check()` found two parts of the engine that contradict each other."""


class BadSnapshot(EngineError):
    """The bytes are not a snapshot of an exchange, or not a complete one, or their version is unknown."""
