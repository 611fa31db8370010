"""Memory of growing tables."""

from libc.stdint cimport uint32_t
from libc.stdio cimport fputs, stderr
from libc.stdlib cimport abort, calloc, realloc
from libc.string cimport memset


cdef inline void* resized(void* block, size_t used, size_t wanted) noexcept nogil:
    """`block` with room for `wanted` bytes, those after the first `used` zero.

    Without memory the process ends: an engine that stopped in the middle of a command would be wrong for ever after,
    and one that runs again finds everything in its journal.
    """
    cdef char* grown = <char*>realloc(block, wanted)
    if grown == NULL:
        fputs(b"deltabook: out of memory\n", stderr)
        abort()
    memset(grown + used, 0, wanted - used)
    return grown


cdef inline void* reserved(size_t count, size_t size) noexcept nogil:
    """Zeroed room for a whole table: the system gives a page of it when it is first used, so that nothing has to be moved later."""
    cdef void* block = calloc(count, size)
    if block == NULL:
        fputs(b"deltabook: out of memory\n", stderr)
        abort()
    return block


cdef inline uint32_t doubled(uint32_t capacity, uint32_t least) noexcept nogil:
    return capacity * 2 if capacity else least
