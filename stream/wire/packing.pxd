"""MessagePack and the heads of WebSocket frames in C, byte for byte as msgspec and `framing` write them."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline void store_16(unsigned char *at, uint64_t value) { uint16_t big = __builtin_bswap16((uint16_t)value); memcpy(at, &big, 2); }
    static inline void store_32(unsigned char *at, uint64_t value) { uint32_t big = __builtin_bswap32((uint32_t)value); memcpy(at, &big, 4); }
    static inline void store_64(unsigned char *at, uint64_t value) { uint64_t big = __builtin_bswap64(value); memcpy(at, &big, 8); }
    static inline uint64_t load_16(const unsigned char *at) { uint16_t big; memcpy(&big, at, 2); return __builtin_bswap16(big); }
    static inline uint64_t load_32(const unsigned char *at) { uint32_t big; memcpy(&big, at, 4); return __builtin_bswap32(big); }
    static inline uint64_t load_64(const unsigned char *at) { uint64_t big; memcpy(&big, at, 8); return __builtin_bswap64(big); }
    """
    void store_16(unsigned char* at, uint64_t value) noexcept nogil
    void store_32(unsigned char* at, uint64_t value) noexcept nogil
    void store_64(unsigned char* at, uint64_t value) noexcept nogil
    uint64_t load_16(const unsigned char* at) noexcept nogil
    uint64_t load_32(const unsigned char* at) noexcept nogil
    uint64_t load_64(const unsigned char* at) noexcept nogil

cdef enum:
    NUMBER_MAX = 9              # bytes of an encoded number
    ARRAY_MAX = 5               # bytes of an array's head
    HEADER_MAX = 10             # bytes of a WebSocket frame's header
    NIL = 0xC0


cdef inline unsigned char* put_number(unsigned char* at, uint64_t value) noexcept nogil:
    if value <= 0x7F:
        at[0] = <unsigned char>value
        return at + 1
    if value <= 0xFF:
        at[0] = 0xCC
        at[1] = <unsigned char>value
        return at + 2
    if value <= 0xFFFF:
        at[0] = 0xCD
        store_16(at + 1, value)
        return at + 3
    if value >> 32 == 0:
        at[0] = 0xCE
        store_32(at + 1, value)
        return at + 5
    at[0] = 0xCF
    store_64(at + 1, value)
    return at + 9


cdef inline unsigned char* put_signed(unsigned char* at, int64_t value) noexcept nogil:
    """A number that may be below 0."""
    if value >= 0:
        return put_number(at, value)
    if value >= -0x20:
        at[0] = <unsigned char>value
        return at + 1
    if value >= -0x80:
        at[0] = 0xD0
        at[1] = <unsigned char>value
        return at + 2
    if value >= -0x8000:
        at[0] = 0xD1
        store_16(at + 1, value)
        return at + 3
    if value >= -0x80000000:
        at[0] = 0xD2
        store_32(at + 1, value)
        return at + 5
    at[0] = 0xD3
    store_64(at + 1, value)
    return at + 9


cdef inline unsigned char* put_array(unsigned char* at, uint32_t length) noexcept nogil:
    """The head of an array."""
    if length < 16:
        at[0] = <unsigned char>(0x90 | length)
        return at + 1
    if length < 0x10000:
        at[0] = 0xDC
        store_16(at + 1, length)
        return at + 3
    at[0] = 0xDD
    store_32(at + 1, length)
    return at + 5


cdef inline unsigned char* put_header(unsigned char* at, uint64_t payload) noexcept nogil:
    """The header of a whole, unmasked binary frame (RFC 6455, 5.2)."""
    at[0] = 0x82
    if payload < 126:
        at[1] = <unsigned char>payload
        return at + 2
    if payload < 0x10000:
        at[1] = 126
        store_16(at + 2, payload)
        return at + 4
    at[1] = 127
    store_64(at + 2, payload)
    return at + 10


cdef inline unsigned char* put_bytes(unsigned char* at, const void* data, size_t size) noexcept nogil:
    memcpy(at, data, size)
    return at + size
