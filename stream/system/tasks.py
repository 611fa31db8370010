"""Background tasks whose failure is noticed. A task that runs for ever is started again after any error; a task that is to end logs an error."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("deltabook")

AGAIN_S = 0.5
"""How long to wait before a failed task is started again."""


Step = Callable[[], Coroutine[Any, Any, object]]


def going_on(what: str, step: Step, over: Callable[[], bool] = lambda: False) -> asyncio.Task[None]:
    """A task that does something again and again, whatever it raises, until it is cancelled or `over`."""
    return asyncio.get_running_loop().create_task(_over_and_over(what, step, over), name=what)


async def _over_and_over(what: str, step: Step, over: Callable[[], bool]) -> None:
    task = asyncio.current_task()
    assert task
    while not task.cancelling() and not over():
        try:
            await step()
        except (Exception, asyncio.CancelledError):
            if task.cancelling():
                raise
            log.exception("a task has failed; it will be started again", extra={"what": what})
            await asyncio.sleep(AGAIN_S)


def once(what: str, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
    """A task that does something once. If it fails, it logs the error; it raises nothing."""
    return asyncio.get_running_loop().create_task(_telling(what, work), name=what)


async def _telling(what: str, work: Coroutine[Any, Any, object]) -> None:
    task = asyncio.current_task()
    assert task
    try:
        await work
    except (Exception, asyncio.CancelledError):
        if task.cancelling():
            raise
        log.exception("a task has failed", extra={"what": what})
