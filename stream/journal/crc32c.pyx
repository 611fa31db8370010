"""CRC-32C (Castagnoli), as iSCSI and most journals have it: by the processor's own instruction where there is one, else by a table."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>

    static uint32_t crc32c_table[256];

    static void crc32c_fill_table(void)
    {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = byte;
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
            crc32c_table[byte] = crc;
        }
    }

    static uint32_t crc32c_by_table(uint32_t crc, const uint8_t *data, size_t size)
    {
        while (size--)
            crc = crc >> 8 ^ crc32c_table[(crc ^ *data++) & 255];
        return crc;
    }

    #if defined(__x86_64__) && defined(__GNUC__)
    __attribute__((target("sse4.2")))
    static uint32_t crc32c_by_instruction(uint32_t crc, const uint8_t *data, size_t size)
    {
        uint64_t wide = crc, word;
        for (; size >= 8; size -= 8, data += 8) {
            memcpy(&word, data, 8);
            wide = __builtin_ia32_crc32di(wide, word);
        }
        crc = (uint32_t)wide;
        while (size--)
            crc = __builtin_ia32_crc32qi(crc, *data++);
        return crc;
    }
    #define CRC32C_HAS_INSTRUCTION __builtin_cpu_supports("sse4.2")
    #elif defined(__ARM_FEATURE_CRC32)
    #include <arm_acle.h>
    static uint32_t crc32c_by_instruction(uint32_t crc, const uint8_t *data, size_t size)
    {
        uint64_t word;
        for (; size >= 8; size -= 8, data += 8) {
            memcpy(&word, data, 8);
            crc = __crc32cd(crc, word);
        }
        while (size--)
            crc = __crc32cb(crc, *data++);
        return crc;
    }
    #define CRC32C_HAS_INSTRUCTION 1
    #else
    #define crc32c_by_instruction crc32c_by_table
    #define CRC32C_HAS_INSTRUCTION 0
    #endif
    """
    void crc32c_fill_table() nogil
    uint32_t crc32c_by_table(uint32_t crc, const uint8_t* data, size_t size) nogil
    uint32_t crc32c_by_instruction(uint32_t crc, const uint8_t* data, size_t size) nogil
    bint CRC32C_HAS_INSTRUCTION

cdef enum:
    LONG = 1 << 16    # bytes from which other threads may run meanwhile

crc32c_fill_table()


cdef inline uint32_t run(uint32_t crc, const uint8_t* data, size_t size, bint by_table) noexcept nogil:
    if CRC32C_HAS_INSTRUCTION and not by_table:
        return crc32c_by_instruction(crc, data, size)
    return crc32c_by_table(crc, data, size)


cdef uint32_t checksum(const uint8_t* data, size_t size, uint32_t crc) noexcept nogil:
    return ~run(~crc, data, size, False)


def crc32c(data: bytes | bytearray | memoryview, crc: int = 0, by_table: bool = False) -> int:
    """The CRC-32C of a buffer, going on from that of what came before. `by_table` is for the test of the two ways against each other."""
    cdef Py_buffer view
    cdef uint32_t value = ~<uint32_t>crc
    cdef bint table = by_table
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    if view.len < LONG:
        value = run(value, <const uint8_t*>view.buf, view.len, table)
    else:
        with nogil:
            value = run(value, <const uint8_t*>view.buf, view.len, table)
    PyBuffer_Release(&view)
    return ~value
