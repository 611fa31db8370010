"""A buffer of commands for the engine."""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyBUF_SIMPLE, PyObject_GetBuffer
from libc.stdlib cimport free
from libc.string cimport memcpy

from engine.memory cimport doubled, grown
from engine.model cimport Command
from engine.thresholds cimport COMMANDS


@cython.final
cdef class Commands(Recipient):
    """A buffer of commands for `Exchange.execute`, 88 bytes each. Its methods raise OverflowError for a number that does not fit its field."""

    def __init__(self) -> None:
        pass

    def __dealloc__(self) -> None:
        free(self.command)

    def __len__(self) -> int:
        return self.count

    cdef Command* add(self) except NULL:
        if self.exports:
            raise BufferError("release the views of the commands before adding to them")
        if self.count == self.capacity:
            self.command = <Command*>grown(self.command, self.capacity * sizeof(Command), doubled(self.capacity, COMMANDS) * sizeof(Command))
            self.capacity = doubled(self.capacity, COMMANDS)
        self.count += 1
        return &self.command[self.count - 1]

    def __getbuffer__(self, Py_buffer* view, int flags) -> None:
        PyBuffer_FillInfo(view, self, self.command if self.count else <void*>b"", self.count * sizeof(Command), True, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view) -> None:
        self.exports -= 1

    def clear(self) -> None:
        """Remove all commands, but keep the memory. Raises BufferError while there are views of the commands."""
        if self.exports:
            raise BufferError("release the views of the commands before clearing them")
        self.count = 0

    def extend(self, records: bytes | bytearray | memoryview) -> None:
        """Append commands in their binary form. Raises ValueError if they are not a whole number of records."""
        cdef Py_buffer view
        cdef Py_ssize_t i
        PyObject_GetBuffer(records, &view, PyBUF_SIMPLE)
        try:
            if view.len % sizeof(Command):
                raise ValueError(f"{view.len} bytes: expected a multiple of {sizeof(Command)}")
            for i in range(view.len // sizeof(Command)):
                memcpy(self.add(), <char*>view.buf + i * sizeof(Command), sizeof(Command))
        finally:
            PyBuffer_Release(&view)

    cdef object receive(self, Command* command):
        self.add()[0] = command[0]
