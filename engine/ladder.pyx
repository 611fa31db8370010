"""Where the levels of a book are: two trees over prices, and the slab that their leaves point into."""

from libc.string cimport memset

from engine.memory cimport doubled, resized
from engine.model cimport BUY
from engine.thresholds cimport LEVELS, NODES


cdef uint32_t new_node(Levels* book) noexcept nogil:
    cdef uint32_t node = book.node_free
    if node:
        book.node_free = book.node[node].child[0]
        memset(&book.node[node], 0, sizeof(Node))
        return node
    if book.node_top + 1 >= book.node_capacity:
        book.node = <Node*>resized(book.node, book.node_capacity * sizeof(Node), doubled(book.node_capacity, NODES) * sizeof(Node))
        book.node_capacity = doubled(book.node_capacity, NODES)
    book.node_top += 1
    return book.node_top


cdef void free_node(Levels* book, uint32_t node) noexcept nogil:
    book.node[node].child[0] = book.node_free
    book.node_free = node


cdef uint32_t new_level(Levels* book, int side, int64_t price) noexcept nogil:
    cdef uint32_t index = book.level_free
    if index:
        book.level_free = book.level[index].older
    else:
        if book.level_top + 1 >= book.level_capacity:
            book.level = <Level*>resized(book.level, book.level_capacity * sizeof(Level), doubled(book.level_capacity, LEVELS) * sizeof(Level))
            book.level_capacity = doubled(book.level_capacity, LEVELS)
        book.level_top += 1
        index = book.level_top
    memset(&book.level[index], 0, sizeof(Level))
    book.level[index].price = price
    book.level[index].side = side
    return index


cdef uint32_t add_level(Levels* book, int side, int64_t price) noexcept nogil:
    """A new level where there is none: empty, not alive, and on no chain until `publish`."""
    cdef Ladder* ladder = &book.ladders[side]
    cdef uint32_t index, node, child, height
    if ladder.height == 0:
        ladder.root = new_node(book)
        ladder.height = 1
        ladder.prefix = <uint64_t>price >> 6
    while <uint64_t>price >> (6 * ladder.height) != ladder.prefix:
        node = new_node(book)
        book.node[node].child[ladder.prefix & 63] = ladder.root
        book.node[node].children = 1
        if book.node[ladder.root].live:
            book.node[node].live = <uint64_t>1 << (ladder.prefix & 63)
        ladder.root = node
        ladder.height += 1
        ladder.prefix >>= 6
    node = ladder.root
    for height in range(ladder.height - 1, 0, -1):
        child = child_at(book, node, price, height)[0]
        if not child:
            child = new_node(book)
            child_at(book, node, price, height)[0] = child
            book.node[node].children += 1
        node = child
    index = new_level(book, side, price)
    child_at(book, node, price, 0)[0] = index
    book.node[node].children += 1
    return index


cdef void forget(Levels* book, uint32_t index) noexcept nogil:
    """Remove an empty level that is on no chain, the nodes that only it needed, and a root with one child."""
    cdef uint32_t path[HEIGHT_MAX]
    cdef Level* level = &book.level[index]
    cdef Ladder* ladder = &book.ladders[level.side]
    cdef uint32_t height, top = path_to(book, ladder, level.price, path)
    cdef uint32_t root
    for height in range(top):
        child_at(book, path[height], level.price, height)[0] = 0
        book.node[path[height]].children -= 1
        if book.node[path[height]].children:
            break
        free_node(book, path[height])
        if height == top - 1:
            ladder.height = 0
    while ladder.height > 1 and book.node[ladder.root].children == 1:
        root = ladder.root
        height = 0
        while not book.node[root].child[height]:
            height += 1
        ladder.root = book.node[root].child[height]
        ladder.prefix = ladder.prefix << 6 | height
        ladder.height -= 1
        free_node(book, root)
    level.older = book.level_free
    book.level_free = index


cdef uint32_t next_worse(Levels* book, int side, int64_t price) noexcept nogil:
    """The best live level that is worse than the one at `price`, which must exist; 0 for none."""
    cdef uint32_t path[HEIGHT_MAX]
    cdef uint32_t height, child, top = path_to(book, &book.ladders[side], price, path)
    cdef uint64_t bit, live
    for height in range(top):
        bit = bit_at(price, height)
        live = book.node[path[height]].live & (bit - 1 if side == BUY else ~(bit | (bit - 1)))
        if live:
            child = book.node[path[height]].child[63 - leading_zeros(live) if side == BUY else lowest_bit(live)]
            return best_below(book, side, child, height - 1) if height else child
    return 0
