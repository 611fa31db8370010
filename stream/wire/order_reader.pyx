"""Reads `place`, `cancel`, `reduce` and `replace` out of MessagePack into the engine's commands, without a Python object for any field.

It takes what clients usually send, and takes it as msgspec would. All else is left to msgspec, which says what is wrong with it if anything is.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset, strlen

from engine.model cimport CANCEL, PLACE, POST_ONLY, QUOTE, REDUCE, REPLACE, SLIDE, Command
from stream.wire.packing cimport load_16, load_32, load_64

cdef extern from *:
    """
    #define ID_LIMIT (UINT64_C(1) << 53)
    #define COUNT_LIMIT (UINT64_C(1) << 63)
    """
    const uint64_t ID_LIMIT
    const uint64_t COUNT_LIMIT

cdef enum:
    NAME_MAX = 64               # characters of an instrument's name

cdef const char** SIDES = ["buy", "sell", NULL]
cdef const char** TYPES = ["limit", "market", "stop", "stop_limit", "trailing_stop", "take_profit", "take_profit_limit", NULL]
cdef const char** TIMES_IN_FORCE = ["gtc", "ioc", "fok", "gtd", "day", NULL]
cdef const char** SELF_TRADES = ["account", "allow", "cancel_newest", "cancel_oldest", "cancel_both", "decrement", NULL]


cdef struct Cursor:
    const unsigned char* at
    const unsigned char* end
    uint32_t left               # elements
    bint wrong


cdef uint64_t number(Cursor* cursor, uint64_t limit) noexcept nogil:
    """The next element, a number below a limit; 0 if it is left out."""
    cdef uint64_t value
    cdef const unsigned char* at = cursor.at
    if not cursor.left or cursor.wrong:
        return 0
    cursor.left -= 1
    if cursor.end - at < 1:
        cursor.wrong = True
    elif at[0] <= 0x7F:
        cursor.at = at + 1
        return at[0]
    elif at[0] == 0xCC and cursor.end - at >= 2:
        cursor.at = at + 2
        return at[1]
    elif at[0] == 0xCD and cursor.end - at >= 3:
        cursor.at = at + 3
        return load_16(at + 1)
    elif at[0] == 0xCE and cursor.end - at >= 5:
        cursor.at = at + 5
        return load_32(at + 1)
    elif at[0] == 0xCF and cursor.end - at >= 9:
        cursor.at = at + 9
        value = load_64(at + 1)
        cursor.wrong = value >= limit
        return value
    cursor.wrong = True
    return 0


cdef uint64_t small_number(Cursor* cursor) noexcept nogil:
    """An id of the client's."""
    return number(cursor, ID_LIMIT)


cdef uint64_t count(Cursor* cursor) noexcept nogil:
    """A price, a size, a time, or an id of the exchange's."""
    return number(cursor, COUNT_LIMIT)


cdef const unsigned char* text(Cursor* cursor, uint32_t* size) noexcept nogil:
    """The next element, a short text."""
    cdef const unsigned char* at = cursor.at
    size[0] = 0
    if not cursor.left or cursor.wrong:
        return at
    cursor.left -= 1
    if cursor.end - at >= 1 and at[0] >> 5 == 5:
        size[0] = at[0] & 0x1F
        at += 1
    elif cursor.end - at >= 2 and at[0] == 0xD9:
        size[0] = at[1]
        at += 2
    else:
        cursor.wrong = True
        return at
    if cursor.end - at < size[0]:
        cursor.wrong = True
        return at
    cursor.at = at + size[0]
    return at


cdef uint8_t choice(Cursor* cursor, const char** choices) noexcept nogil:
    """The place of the next element, a text, among the choices; 0 if it is left out."""
    cdef uint8_t i = 0
    cdef uint32_t size
    cdef const unsigned char* found
    if not cursor.left:
        return 0
    found = text(cursor, &size)
    if not cursor.wrong:
        while choices[i] != NULL:
            if strlen(choices[i]) == size and memcmp(choices[i], found, size) == 0:
                return i
            i += 1
        cursor.wrong = True
    return 0


cdef uint8_t flag(Cursor* cursor, uint8_t meaning) noexcept nogil:
    """What the next element means if it is true; 0 if it is false or left out."""
    if not cursor.left or cursor.wrong:
        return 0
    cursor.left -= 1
    if cursor.at == cursor.end or cursor.at[0] >> 1 != 0xC2 >> 1:
        cursor.wrong = True
        return 0
    cursor.at += 1
    return meaning if (cursor.at - 1)[0] & 1 else 0


cdef bint is_name(const unsigned char* name, uint32_t size) noexcept nogil:
    """Whether it may be an instrument's."""
    cdef uint32_t i
    cdef unsigned char each
    for i in range(size):
        each = name[i]
        if not (c'a' <= (each | 0x20) <= c'z' or c'-' <= each <= c'9' or each == c'_'):    # - . / and the digits lie side by side
            return False
    return 0 < size <= NAME_MAX


cdef bint begins(Cursor* cursor, const char* tag, uint32_t least, uint32_t most) noexcept nogil:
    """Whether the message has this tag and may have so many elements behind it."""
    cdef uint32_t size = strlen(tag)
    if cursor.end - cursor.at > size and cursor.at[0] == (0xA0 | size) and memcmp(cursor.at + 1, tag, size) == 0 and least <= cursor.left - 1 <= most:
        cursor.at += 1 + size
        cursor.left -= 1
        return True
    return False


cdef bint read_order(const unsigned char* data, Py_ssize_t size, OrderRequest* request) noexcept nogil:
    """Read a message; False if it is not one of these, or is better looked at by msgspec."""
    cdef Cursor cursor
    cdef Command* command = &request.command
    if size < 1:
        return False
    cursor.at, cursor.end, cursor.wrong = data + 1, data + size, False
    if data[0] >> 4 == 9:
        cursor.left = data[0] & 0xF
    elif data[0] == 0xDC and size >= 3:
        cursor.left = load_16(data + 1)
        cursor.at = data + 3
    else:
        return False
    if not cursor.left:
        return False
    memset(request, 0, sizeof(OrderRequest))
    if begins(&cursor, "place", 5, 19):
        command.kind = PLACE
        request.id = small_number(&cursor)
        request.instrument = text(&cursor, &request.instrument_size)
        command.side = choice(&cursor, SIDES)
        command.price = count(&cursor)
        command.size = count(&cursor)
        command.type = choice(&cursor, TYPES)
        command.time_in_force = choice(&cursor, TIMES_IN_FORCE)
        command.flags = flag(&cursor, POST_ONLY)
        command.client_id = small_number(&cursor)
        command.flags |= flag(&cursor, SLIDE)
        command.flags |= flag(&cursor, QUOTE)
        command.stop = count(&cursor)
        command.display = count(&cursor)
        command.min_size = count(&cursor)
        command.expires = count(&cursor)
        command.linked = count(&cursor)
        command.self_trade = choice(&cursor, SELF_TRADES)
        cursor.wrong |= not is_name(request.instrument, request.instrument_size)
    elif begins(&cursor, "cancel", 1, 5):
        command.kind = CANCEL
        request.id = small_number(&cursor)
        command.order = count(&cursor)
        command.client_id = small_number(&cursor)
    elif begins(&cursor, "reduce", 3, 6):
        command.kind = REDUCE
        request.id = small_number(&cursor)
        command.order = count(&cursor)
        command.size = count(&cursor)
        command.client_id = small_number(&cursor)
    elif begins(&cursor, "replace", 4, 8):
        command.kind = REPLACE
        request.id = small_number(&cursor)
        command.order = count(&cursor)
        command.price = count(&cursor)
        command.size = count(&cursor)
        command.client_id = small_number(&cursor)
        command.stop = count(&cursor)
    else:
        return False
    request.key = small_number(&cursor)
    count(&cursor)    # when it was first sent, which matters with a key
    return not cursor.wrong and cursor.at == cursor.end and request.id > 0


def order_in(payload: bytes) -> tuple[int, str, int, bytes] | None:
    """The id, the instrument ("" for none), the key and the command of a request; None if it is left to msgspec."""
    cdef OrderRequest request
    if not read_order(payload, len(payload), &request):
        return None
    return request.id, request.instrument[: request.instrument_size].decode(), request.key, (<const unsigned char*>&request.command)[: sizeof(Command)]
