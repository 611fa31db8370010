"""Asks for the memory that the next commands will need, while the ones before them run.

In a large exchange a command meets some ten cache lines that nothing has touched lately: its order, that order's neighbours
in the queue, among its account's orders, and its level's on the chain of changes. Each is found through the one before, so
they are asked for in three steps, each some commands ahead of the next.
"""

from engine.core cimport Core
from engine.model cimport Command

cdef void run_all(Core* core, const Command* commands, Py_ssize_t count, Py_ssize_t* refused) noexcept nogil
