"""A group of commands on their way to the engine."""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyBUF_SIMPLE, PyObject_GetBuffer
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from engine.memory cimport doubled, resized
from engine.model cimport (ALL_INSTRUMENTS, CANCEL, CANCEL_ALL, DEPOSIT, OPEN_ACCOUNT, PLACE, POST_ONLY, REDUCE, REPLACE,
                           WITHDRAW, Command)


cdef Command place_command(account, instrument, side, price, size, order_type, time_in_force, post_only, client_id, time) except *:
    cdef Command command
    memset(&command, 0, sizeof(Command))
    command.kind = PLACE
    command.account = account
    command.instrument = instrument
    command.side = side
    command.price = price
    command.size = size
    command.type = order_type
    command.time_in_force = time_in_force
    command.flags = POST_ONLY if post_only else 0
    command.client_id = client_id
    command.time = time
    return command


cdef Command other_command(int kind, account, time, instrument=0, order=0, price=0, size=0, client_id=0) except *:
    cdef Command command
    memset(&command, 0, sizeof(Command))
    command.kind = kind
    command.account = account
    command.time = time
    command.instrument = instrument
    command.order = order
    command.price = price
    command.size = size
    command.client_id = client_id
    return command


@cython.final
cdef class Commands:
    """A buffer of commands for `Exchange.execute`, 64 bytes each. A number that does not fit its field raises OverflowError."""

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
            self.command = <Command*>resized(self.command, self.capacity * sizeof(Command), doubled(self.capacity, 16) * sizeof(Command))
            self.capacity = doubled(self.capacity, 16)
        self.count += 1
        return &self.command[self.count - 1]

    def __getbuffer__(self, Py_buffer* view, int flags) -> None:
        PyBuffer_FillInfo(view, self, self.command if self.count else <void*>b"", self.count * sizeof(Command), True, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view) -> None:
        self.exports -= 1

    def clear(self) -> None:
        """Drop all commands, keep the memory."""
        if self.exports:
            raise BufferError("release the views of the commands before clearing them")
        self.count = 0

    def extend(self, records: bytes | bytearray | memoryview) -> None:
        """Append commands in their binary form."""
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

    def place(
        self, account: int, instrument: int, side: int, price: int, size: int, type: int = 0, time_in_force: int = 0,
        post_only: bool = False, client_id: int = 0, time: int = 0,
    ) -> None:
        """See `Exchange.place`, as the methods below."""
        cdef Command command = place_command(account, instrument, side, price, size, type, time_in_force, post_only, client_id, time)
        self.add()[0] = command

    def cancel(self, account: int, order: int = 0, client_id: int = 0, time: int = 0) -> None:
        cdef Command command = other_command(CANCEL, account, time, 0, order, 0, 0, client_id)
        self.add()[0] = command

    def reduce(self, account: int, order: int, by: int, client_id: int = 0, time: int = 0) -> None:
        cdef Command command = other_command(REDUCE, account, time, 0, order, 0, by, client_id)
        self.add()[0] = command

    def replace(self, account: int, order: int, price: int, size: int, client_id: int = 0, time: int = 0) -> None:
        cdef Command command = other_command(REPLACE, account, time, 0, order, price, size, client_id)
        self.add()[0] = command

    def cancel_all(self, account: int, instrument: int = ALL_INSTRUMENTS, time: int = 0) -> None:
        cdef Command command = other_command(CANCEL_ALL, account, time, instrument)
        self.add()[0] = command

    def open_account(self, time: int = 0) -> None:
        cdef Command command = other_command(OPEN_ACCOUNT, 0, time)
        self.add()[0] = command

    def deposit(self, account: int, asset: int, amount: int, time: int = 0) -> None:
        cdef Command command = other_command(DEPOSIT, account, time, asset, 0, 0, amount)
        self.add()[0] = command

    def withdraw(self, account: int, asset: int, amount: int, time: int = 0) -> None:
        cdef Command command = other_command(WITHDRAW, account, time, asset, 0, 0, amount)
        self.add()[0] = command
