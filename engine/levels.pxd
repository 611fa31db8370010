"""What changed since any sequence, and the digest.

Every level of a book hangs on one of two chains in the order of its last change, newest first: `changed` (size > 0) or
`emptied` (tombstones).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from engine.ladder cimport Chain, Level, Levels, forget
from engine.turn cimport Turn


cdef void evict(Levels* book) noexcept nogil
cdef list side_of(Levels* book, int side, Py_ssize_t n)


cdef inline uint64_t mix(int side, int64_t price, int64_t size) noexcept nogil:
    """The share of a level in the digest: the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over both numbers."""
    cdef uint64_t z = (<uint64_t>price * 2 + side) * <uint64_t>0x9E3779B97F4A7C15 + <uint64_t>size * <uint64_t>0xC2B2AE3D27D4EB4F
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline void unchain(Levels* book, Chain* chain, Level* level) noexcept nogil:
    if level.newer:
        book.level[level.newer].older = level.older
    else:
        chain.newest = level.older
    if level.older:
        book.level[level.older].newer = level.newer
    else:
        chain.oldest = level.newer


cdef inline void chain_newest(Levels* book, Chain* chain, uint32_t index) noexcept nogil:
    cdef Level* level = &book.level[index]
    level.newer = 0
    level.older = chain.newest
    if chain.newest:
        book.level[chain.newest].newer = index
    else:
        chain.oldest = index
    chain.newest = index


cdef inline void tell(Levels* book, uint32_t index, uint64_t seq) noexcept nogil:
    """Make a level the one that changed last, with the size that it has now."""
    cdef Level* level = &book.level[index]
    if level.seq:
        if level.published:
            unchain(book, &book.changed, level)
        else:
            unchain(book, &book.emptied, level)
            book.tombstones -= 1
    book.digest -= level.term
    level.term = mix(level.side, level.price, level.size) if level.size else 0
    book.digest += level.term
    level.published = level.size
    level.seq = seq
    book.seq = seq
    if level.size:
        chain_newest(book, &book.changed, index)
    else:
        chain_newest(book, &book.emptied, index)
        book.tombstones += 1
        if book.tombstones > book.tombstones_max:
            evict(book)


cdef inline bint publish(Levels* book, uint32_t index, uint64_t seq) noexcept nogil:
    """Publish the size of a level as of `seq`. Returns whether that is a change."""
    cdef Level* level = &book.level[index]
    if level.size == level.published:
        if level.size == 0 and level.seq == 0:
            forget(book, index)
        return False
    tell(book, index, seq)
    return True


cdef class PriceLevels:
    cdef Levels book
    cdef bint read_only         # owned by an exchange
    cdef Turn turn              # that exchange's

    cdef Levels* read(self) except NULL
