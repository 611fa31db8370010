"""Both halves of deltabook under its own name: the engine, and the client of a server. `deltabook.sync` is the client for programs without an event loop."""

from importlib.metadata import version

import engine
import stream
from engine import *  # noqa: F403
from stream import *  # noqa: F403
from stream import sync

__version__ = version("deltabook")

__all__ = ["__version__", "sync"]
__all__ += engine.__all__
__all__ += stream.__all__
