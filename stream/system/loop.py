"""Runs a program on uvloop, or on asyncio's own event loop where uvloop does not exist."""

try:
    from uvloop import run
except ImportError:
    from asyncio import run  # type: ignore[assignment]

__all__ = ["run"]
