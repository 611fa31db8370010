"""Memory of growing tables."""

from libc.stdint cimport uint64_t
from libc.stdio cimport fputs, stderr
from libc.stdlib cimport abort, calloc, realloc
from libc.string cimport memset

from engine.thresholds cimport reaches, threshold_size


cdef inline void* resized(void* block, size_t used, size_t wanted) noexcept nogil:
    """`block` with room for `wanted` bytes, those after the first `used` zero, for use inside a command.

    Without memory the process ends: an engine that stopped in the middle of a command would be wrong for ever after,
    and one that runs again finds everything in its journal.
    """
    cdef char* larger = <char*>realloc(block, wanted)
    if larger == NULL:
        fputs(b"deltabook: out of memory\n", stderr)
        abort()
    memset(larger + used, 0, wanted - used)
    return larger


cdef inline void* grown(void* block, size_t used, size_t wanted) except NULL nogil:
    """The same for what is no command, and can fail: MemoryError, and `block` is as it was."""
    cdef char* larger = <char*>realloc(block, wanted)
    if larger == NULL:
        with gil:
            raise MemoryError(f"there is no room for {wanted} bytes")
    memset(larger + used, 0, wanted - used)
    return larger


cdef inline void* reserved(size_t count, size_t size) except NULL:
    """Zeroed room for a whole table: the system gives a page of it when it is first used, so that nothing has to be moved later."""
    cdef void* block = calloc(count, size)
    if block == NULL:
        raise MemoryError(f"there is no room for {count} times {size} bytes")
    return block


cdef inline uint64_t doubled(uint64_t capacity, int table) noexcept nogil:
    """The capacity of a table that grows; the first is its threshold's."""
    return capacity * 2 if reaches(table, capacity) else threshold_size(table)
