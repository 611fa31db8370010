"""Prefetches the memory that the next commands will need, while earlier ones run.

In a large exchange, a command needs about ten cache lines that nothing has touched lately: its order, the neighbours of that order
in the queue and among its account's orders, and those of its level on the chain of changes. Each is found through the one before.
So they are prefetched in three steps, each a few commands ahead of the next.
"""

from engine.core cimport Core
from engine.model cimport Command

cdef void run_all(Core* core, const Command* commands, Py_ssize_t count, Py_ssize_t* refused) noexcept nogil
