"""A group of commands on their way to the engine."""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyBUF_SIMPLE, PyObject_GetBuffer
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from engine.memory cimport doubled, grown
from engine.model cimport (ADVANCE, ALL_INSTRUMENTS, ALLOW, BOTH_SIDES, CANCEL, CANCEL_ALL, DEPOSIT, OPEN_ACCOUNT, PLACE, POST_ONLY, QUOTE, REDUCE,
                           REPLACE, SET_ACCOUNT, SET_FEES, SET_PHASE, SET_REFERENCE, SLIDE, WITHDRAW, Command)
from engine.thresholds cimport COMMANDS


cdef Command place_command(account, instrument, side, price, size, order_type, time_in_force, bint post_only, client_id, time,
                           bint slide, bint quote, stop, display, min_size, expires, linked, self_trade) except *:
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
    command.flags = (POST_ONLY if post_only else 0) | (SLIDE if slide else 0) | (QUOTE if quote else 0)
    command.client_id = client_id
    command.time = time
    command.stop = stop
    command.display = display
    command.min_size = min_size
    command.expires = expires
    command.order = linked
    command.self_trade = self_trade
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


cdef Command account_command(account, group, tier, self_trade, orders_max, size_max, notional_max, time) except *:
    cdef Command command = other_command(SET_ACCOUNT, account, time, 0, group, notional_max, size_max, orders_max)
    command.type = tier
    command.self_trade = self_trade
    return command


cdef Command instrument_command(int kind, instrument, choice, price, size, time) except *:
    cdef Command command = other_command(kind, 0, time, instrument, 0, price, size)
    command.type = choice
    return command


@cython.final
cdef class Commands:
    """A buffer of commands for `Exchange.execute`, 88 bytes each. A number that does not fit its field raises OverflowError."""

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
        post_only: bool = False, client_id: int = 0, time: int = 0, *, slide: bool = False, quote: bool = False, stop: int = 0,
        display: int = 0, min_size: int = 0, expires: int = 0, linked: int = 0, self_trade: int = 0,
    ) -> None:
        """See `Exchange.place`, as the methods below."""
        cdef Command command = place_command(account, instrument, side, price, size, type, time_in_force, post_only, client_id, time,
                                             slide, quote, stop, display, min_size, expires, linked, self_trade)
        self.add()[0] = command

    def cancel(self, account: int, order: int = 0, client_id: int = 0, time: int = 0) -> None:
        cdef Command command = other_command(CANCEL, account, time, 0, order, 0, 0, client_id)
        self.add()[0] = command

    def reduce(self, account: int, order: int, by: int, client_id: int = 0, time: int = 0) -> None:
        cdef Command command = other_command(REDUCE, account, time, 0, order, 0, by, client_id)
        self.add()[0] = command

    def replace(self, account: int, order: int, price: int, size: int, client_id: int = 0, time: int = 0, stop: int = 0) -> None:
        cdef Command command = other_command(REPLACE, account, time, 0, order, price, size, client_id)
        command.stop = stop
        self.add()[0] = command

    def cancel_all(self, account: int, instrument: int = ALL_INSTRUMENTS, time: int = 0, side: int = BOTH_SIDES) -> None:
        cdef Command command = other_command(CANCEL_ALL, account, time, instrument)
        command.side = side
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

    def advance(self, time: int) -> None:
        cdef Command command = other_command(ADVANCE, 0, time)
        self.add()[0] = command

    def set_account(
        self, account: int, group: int = 0, tier: int = 0, self_trade: int = ALLOW, orders_max: int = 0, size_max: int = 0,
        notional_max: int = 0, time: int = 0,
    ) -> None:
        cdef Command command = account_command(account, group, tier, self_trade, orders_max, size_max, notional_max, time)
        self.add()[0] = command

    def set_fees(self, instrument: int, tier: int, maker: int, taker: int, time: int = 0) -> None:
        cdef Command command = instrument_command(SET_FEES, instrument, tier, maker, taker, time)
        self.add()[0] = command

    def set_reference(self, instrument: int, price: int, time: int = 0) -> None:
        cdef Command command = instrument_command(SET_REFERENCE, instrument, 0, price, 0, time)
        self.add()[0] = command

    def set_phase(self, instrument: int, phase: int, time: int = 0) -> None:
        cdef Command command = instrument_command(SET_PHASE, instrument, phase, 0, 0, time)
        self.add()[0] = command
