"""The client for scripts and notebooks: it has the same methods, but they block. Several threads may share it::

    from stream.sync import connect

    with connect("ws://127.0.0.1:8080/v1") as client:
        book = client.orderbook("BTC-USDT")
        for frame in book:
            print(book.best_bid, book.best_ask, book.seq)

A thread of its own runs the event loop, and everything happens there, so that whatever you read from a channel belongs to one frame. Each thread that
iterates over a channel gets everything from when it began to iterate. A call costs about 0.1 ms. Callbacks of `on` and `on_connection` run in the thread
of the event loop, and must not block.
"""

import asyncio
import inspect
import math
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, wait
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar

from stream.client import client as asynchronous
from stream.client.errors import ClientError, Closed
from stream.client.kept_connection import Token
from stream.client.live import Live

Result = TypeVar("Result")

LOOK_S = 1.0
"""How often a blocked call checks that the thread of the event loop is still alive."""


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="deltabook client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result], timeout_s: float | None = None) -> Result:
        """Run a coroutine in the loop, and wait for its result. After `timeout_s`, cancel it and raise TimeoutError. Ctrl-C cancels it too."""
        if threading.current_thread() is self._thread:
            work.close()
            raise ClientError("a callback must not block: hand what it gets to another thread, for example with a queue, or use the client of `stream`")
        if not self._thread.is_alive():
            work.close()
            raise Closed("the client is closed")
        future: Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        try:
            while not wait([future], min(LOOK_S, max(0.0, until - time.monotonic()))).done:
                if not self._thread.is_alive():
                    raise Closed("the thread of the client's event loop has ended")
                if time.monotonic() >= until:
                    raise TimeoutError
            return future.result()
        except CancelledError:
            raise Closed("the client is closed") from None
        except BaseException:
            future.cancel()
            raise

    def read(self, look: Callable[[], Result]) -> Result:
        """Call a function in the loop, where nothing changes meanwhile. Returns its result."""

        async def reading() -> Result:
            return look()

        return self.run(reading())

    def end(self) -> None:
        """Stop the loop. Calls that still wait raise Closed."""

        async def cancel_all() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._loop.shutdown_default_executor()

        if self._thread.is_alive():
            self.run(cancel_all())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


class OfThread:
    """A thread, as the reader of a channel."""

    def __init__(self) -> None:
        self._thread = threading.current_thread()

    def done(self) -> bool:
        """Whether the thread has ended. Another thread then takes over what it has not read."""
        return not self._thread.is_alive()

    def __hash__(self) -> int:
        return hash(self._thread)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OfThread) and self._thread is other._thread


class Facade:
    """An object of the event loop. Its coroutine functions block here, and its attributes are read in the loop."""

    def __init__(self, loop: Loop, behind: Any) -> None:
        self._loop = loop
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(type(self._behind), name, None)
        if inspect.iscoroutinefunction(found):
            method = getattr(self._behind, name)

            @wraps(method)
            def awaited(*arguments: Any, **named: Any) -> Any:
                return self._shown(self._loop.run(method(*arguments, **named)))

            return awaited
        if inspect.isfunction(found):
            function = getattr(self._behind, name)

            @wraps(function)
            def call(*arguments: Any, **named: Any) -> Any:
                return self._loop.read(lambda: function(*arguments, **named))

            return call
        return self._loop.read(lambda: self._shown(getattr(self._behind, name)))

    def _shown(self, found: Any) -> Any:
        """What a caller gets for an object of the event loop: a Channel for each Live."""
        if isinstance(found, Live):
            return Channel(self._loop, found)
        if isinstance(found, list) and found and all(isinstance(each, Live) for each in found):
            return [Channel(self._loop, each) for each in found]
        return found


class Channel(Facade):
    """A channel. Iterate over it, or read `best_bid`, `levels()`, `mirror` and everything else that the channels of `stream` have."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout_s: float | None = None) -> Any:
        """The next item. Raises TimeoutError if none comes within `timeout_s`; and TooSlow, Closed or another ClientError if the channel ends."""
        return self._loop.run(self._next(OfThread(), timeout_s))

    async def _next(self, reader: OfThread, timeout_s: float | None) -> Any:
        async with asyncio.timeout(timeout_s):
            return await self._behind._next(self._behind._reader(reader))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Channel) and self._behind is other._behind

    def __hash__(self) -> int:
        return hash(self._behind)


class Client(Facade):
    """A client of one server, with the methods of `stream.Client`. Use it with `with`, or call `open` and `close`."""

    def __init__(self, url: str, token: Token = None) -> None:
        self._ended = False
        super().__init__(Loop(), asynchronous.Client(url, token))

    def __enter__(self) -> "Client":
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def open(self) -> None:
        """Connect. If that fails, close the client and raise ClientError."""
        try:
            self._loop.run(self._behind.open())
        except BaseException:
            self._loop.end()
            raise

    def close(self) -> None:
        """Close the connection. Every request and iteration ends with Closed, in all threads."""
        if not self._ended:
            self._ended = True
            self._loop.run(self._behind.close())
            self._loop.end()


def connect(url: str, token: Token = None) -> Client:
    """A client, to use with `with`. `token` is sent in the header of the handshake. If it is a callable, it is called for a fresh token at each connection."""
    return Client(url, token)
