"""Memory of tables: those that grow, and those that have room for all there may ever be.

A table begins at the start of a cache line, so that a record of 64 bytes lies in one; a large one begins at the start of a huge page, and
asks for such pages, because a walk from order to order would miss the translation of addresses at each step.
"""

from libc.stdint cimport uint64_t
from libc.stdio cimport fputs, stderr
from libc.stdlib cimport abort, free
from libc.string cimport memcpy, memset

from engine.thresholds cimport HUGE_PAGE, reaches, threshold_size

cdef enum:
    CACHE_LINE = 64
    PAGE_MAX = 1 << 16          # the largest small page of any machine

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void** block, size_t alignment, size_t size)

cdef extern from *:
    """
    #include <sys/mman.h>
    #ifndef MADV_HUGEPAGE
    #define MADV_HUGEPAGE MADV_NORMAL
    #endif
    """
    void* mmap(void* address, size_t size, int protection, int flags, int descriptor, long offset) noexcept nogil
    int munmap(void* address, size_t size) noexcept nogil
    int madvise(void* address, size_t size, int advice) noexcept nogil
    void* MAP_FAILED
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MADV_HUGEPAGE


cdef inline void* moved(void* block, size_t used, size_t wanted) noexcept nogil:
    """A block of `wanted` bytes that begins with the `used` of this one, the rest zero. NULL without memory: `block` is as it was."""
    cdef void* larger = NULL
    cdef bint huge = reaches(HUGE_PAGE, wanted)
    if posix_memalign(&larger, threshold_size(HUGE_PAGE) if huge else CACHE_LINE, wanted):
        return NULL
    if huge:
        madvise(larger, wanted, MADV_HUGEPAGE)    # a wish: without such pages all is as true, and slower
    if used:
        memcpy(larger, block, used)
    memset(<char*>larger + used, 0, wanted - used)
    free(block)
    return larger


cdef inline void* resized(void* block, size_t used, size_t wanted) noexcept nogil:
    """`block` with room for `wanted` bytes, those after the first `used` zero, for use inside a command.

    If there is no memory, the process ends: an engine that stopped in the middle of a command would stay wrong for ever,
    but one that starts again finds everything in its journal.
    """
    cdef void* larger = moved(block, used, wanted)
    if larger == NULL:
        fputs(b"deltabook: out of memory\n", stderr)
        abort()
    return larger


cdef inline void* grown(void* block, size_t used, size_t wanted) except NULL nogil:
    """The same for what is no command, and can fail: MemoryError, and `block` is as it was."""
    cdef void* larger = moved(block, used, wanted)
    if larger == NULL:
        with gil:
            raise MemoryError(f"there is no room for {wanted} bytes")
    return larger


cdef inline void* reserved(size_t count, size_t size) except NULL:
    """Zeroed room for a whole table: the system gives a page of it when it is first used, so that nothing has to be moved later.

    A large one begins at the start of a huge page, which it takes at once: if it came when the table is first used, it would look like a leak.
    """
    cdef size_t wanted = (count * size + PAGE_MAX - 1) & ~<size_t>(PAGE_MAX - 1)
    cdef size_t spare = threshold_size(HUGE_PAGE) if reaches(HUGE_PAGE, count * size) else 0
    cdef size_t before
    cdef char* block = <char*>mmap(NULL, wanted + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if block == MAP_FAILED:
        raise MemoryError(f"there is no room for {count} times {size} bytes")
    if spare:
        before = -<size_t>block & (spare - 1)
        if before:
            munmap(block, before)
        block += before
        if spare > before:
            munmap(block + wanted, spare - before)
        madvise(block, wanted, MADV_HUGEPAGE)
        block[0] = 0
    return block


cdef inline void released(void* block, size_t count, size_t size) noexcept nogil:
    """Give back what was reserved; nothing if it never was."""
    if block != NULL:
        munmap(block, (count * size + PAGE_MAX - 1) & ~<size_t>(PAGE_MAX - 1))


cdef inline uint64_t doubled(uint64_t capacity, int table) noexcept nogil:
    """The capacity of a table that grows; the first is its threshold's."""
    return capacity * 2 if reaches(table, capacity) else threshold_size(table)
