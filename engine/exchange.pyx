"""Instruments and accounts together: commands in, batches of events out."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from engine.accounts cimport add_asset, balance_of, free_accounts
from engine.auction cimport free_collected
from engine.audit cimport check_core
from engine.book cimport OrderBook, new_book, order_record
from engine.client_ids cimport ClientId
from engine.core cimport RULES, Book, Core
from engine.events cimport Events
from engine.execution cimport run
from engine.levels cimport PriceLevels
from engine.lookahead cimport run_all
from engine.memory cimport grown, released, reserved
from engine.model cimport ALL_CANCELLED, ALL_INSTRUMENTS, CANCEL_ALL, MASS_CANCEL, OPEN_ACCOUNT, PLACE, Command, Event
from engine.orders cimport SLOT_MASK, TAKER_SLOTS, Order, Special, slot_of, slots_max
from engine.snapshot cimport Reader, Writer
from engine.state cimport hash_of, read_state, write_state
from engine.terms cimport book_of, checked_name, exact

from decimal import Decimal
from struct import Struct
from zlib import crc32

from engine.commands import Commands
from engine.errors import BadSnapshot, Inconsistent, Rejected
from engine.instrument import Instrument
from engine.model import Reason
from engine.records import Order as OrderRecord
from engine.terms import VERSION_1_BOUNDS

SNAPSHOT_VERSION = 2
SNAPSHOT_MAGIC = b"deltbk\0" + bytes([SNAPSHOT_VERSION])
SNAPSHOT_HEAD = Struct("<8sQI4xQ")

ASSETS_MAX = 1 << 16


cdef int known_account(Core* core, account) except -1:
    if not 0 <= account < core.accounts.count:
        raise IndexError(f"account {account}: expected the number of an account, and there are {core.accounts.count} accounts from 0 on")
    return 0


cdef int known_asset(Core* core, asset) except -1:
    if not 0 <= asset < core.accounts.assets:
        raise IndexError(f"asset {asset}: expected the index of an asset, and there are {core.accounts.assets} assets from 0 on")
    return 0


@cython.final
cdef class Exchange(Recipient):
    """Instruments, accounts and their orders. There is one writer and one sequence.

    After each call that runs a command (`open_account` to `set_phase`, or `execute`), `events` holds what the call caused. If a single command is refused,
    its method raises Rejected. If a command of a buffer is refused, it only leaves a REJECTED event. Amounts are in units of the asset, prices in ticks,
    sizes in lots, and times in ns since 1970. Instruments and assets are named by their index.
    """

    def __cinit__(self, *_: object, **__: object) -> None:
        memset(&self.core, 0, sizeof(Core))
        self.events = Events()
        self.turn = self.events.turn
        self.core.events = &self.events.buffer
        self._books = []
        self._by_name = {}
        self._assets = {}

    def __init__(
        self, orders_max: int = 1 << 20, accounts_max: int = 1 << 20, tombstones: int = 4096, client_ids_max: int = 1 << 16, key: int = 0,
    ) -> None:
        """`orders_max` is the most open orders, `accounts_max` the most accounts, `tombstones` the most tombstones of each book, `client_ids_max` the most
        client ids of done orders. `key` is a secret below 2 ** 128: with it, nobody can choose client ids that all collide. Raises ValueError for a
        number out of range, and MemoryError if there is not enough memory.
        """
        cdef size_t slots
        for name, number, least, most in (
            ("orders_max", orders_max, 1, SLOT_MASK - TAKER_SLOTS), ("accounts_max", accounts_max, 1, (1 << 32) - 1),
            ("tombstones", tombstones, 0, (1 << 31) - 1), ("client_ids_max", client_ids_max, 0, (1 << 32) - 1), ("key", key, 0, (1 << 128) - 1),
        ):
            if not least <= number <= most:
                raise ValueError(f"{name} {number}: expected {least} to {most}")
        if self.core.client_ids.done != NULL:
            raise TypeError("this exchange is initialised already: expected to be called once")
        self.core.orders.count_max = orders_max
        self.core.client_ids.done_max = client_ids_max
        slots = slots_max(&self.core.orders)
        self.core.client_ids.done = <ClientId*>reserved(client_ids_max + 1, sizeof(ClientId))
        self.core.orders.unpaid = <uint32_t*>reserved(slots, sizeof(uint32_t))
        self.core.orders.special = <Special*>reserved(slots, sizeof(Special))
        self.core.orders.order = <Order*>reserved(slots, sizeof(Order))
        self.core.rules = RULES
        self.core.accounts.count_max = accounts_max
        self.core.client_ids.key[0], self.core.client_ids.key[1] = key & 0xFFFFFFFFFFFFFFFF, key >> 64
        self._tombstones = tombstones

    def __dealloc__(self) -> None:
        cdef uint32_t i
        cdef size_t slots = slots_max(&self.core.orders)
        for i in range(self.core.books):
            free_collected(&self.core, i)
            if self.core.book[i].stops != NULL:
                free(self.core.book[i].stops.level)
                free(self.core.book[i].stops.node)
                free(self.core.book[i].stops)
        free(self.core.book)
        released(self.core.orders.order, slots, sizeof(Order))
        released(self.core.orders.special, slots, sizeof(Special))
        released(self.core.orders.unpaid, slots, sizeof(uint32_t))
        free(self.core.expiries.slot)
        free(self.core.client_ids.entry)
        released(self.core.client_ids.done, <size_t>self.core.client_ids.done_max + 1, sizeof(ClientId))
        free(self.core.touched)
        free_accounts(&self.core.accounts)

    cdef Core* read(self) except NULL:
        """The state, for a call that changes nothing."""
        self.turn.expect()
        return &self.core

    @property
    def seq(self) -> int:
        """The sequence of the last event."""
        return self.read().events.seq

    @property
    def clock(self) -> int:
        """The clock: the latest time of any command so far, in ns since 1970."""
        return self.read().clock

    @property
    def next_expiry(self) -> int:
        """When the next open order expires, in ns since 1970; 0 if none does. O(1)."""
        return self.core.orders.special[self.core.expiries.slot[1]].expires if self.read().expiries.count else 0

    @property
    def books(self) -> list[OrderBook]:
        """All order books, by index."""
        return list(self._books)

    @property
    def accounts(self) -> int:
        """The number of accounts. They are numbered from 0."""
        return self.read().accounts.count

    @property
    def order_count(self) -> int:
        """The number of open orders."""
        return self.read().orders.count

    def add_asset(self, name: str, decimals: int = 8) -> int:
        """Add an asset whose unit is 10 ** -decimals. Returns its index. Raises ValueError for a bad name or number. O(accounts)."""
        self.turn.expect()
        checked_name(name, "an asset's name")
        if name in self._assets:
            raise ValueError(f"asset {name!r} exists already")
        if len(self._assets) == ASSETS_MAX:
            raise ValueError(f"there are {ASSETS_MAX} assets already")
        if not 0 <= decimals <= 18:
            raise ValueError(f"asset {name!r} has {decimals} decimals: expected 0 to 18")
        add_asset(&self.core.accounts)
        self._assets[name] = decimals
        return len(self._assets) - 1

    def asset(self, name: str) -> int:
        """The index of an asset. Raises KeyError if there is no such asset."""
        if name not in self._assets:
            raise KeyError(name)
        return list(self._assets).index(name)

    def assets(self) -> dict[str, int]:
        """The number of decimals of every asset by name, in the order of their indexes."""
        return dict(self._assets)

    def add_instrument(self, instrument: Instrument) -> int:
        """Add an instrument with an empty book. Returns its index. Raises ValueError if its terms do not fit together."""
        cdef Book book
        cdef PriceLevels levels
        cdef uint32_t index = self.core.books
        self.turn.expect()
        checked_name(instrument.name, "an instrument's name")
        if instrument.name in self._by_name:
            raise ValueError(f"instrument {instrument.name!r} exists already")
        if index == ALL_INSTRUMENTS:
            raise ValueError(f"there are {index} instruments already")
        for asset in (instrument.base, instrument.quote):
            if asset not in self._assets:
                raise ValueError(f"instrument {instrument.name!r}: there is no asset {asset!r}")
        instrument = instrument._replace(tick=exact(instrument.tick, instrument), lot=exact(instrument.lot, instrument))
        book = book_of(instrument, self._assets)
        levels = PriceLevels(self._tombstones)
        levels.read_only = True
        levels.turn = self.turn
        book.levels = book.published = &levels.book
        self.core.book = <Book*>grown(self.core.book, index * sizeof(Book), (index + 1) * sizeof(Book))
        self.core.book[index] = book
        self.core.books += 1
        self._by_name[instrument.name] = new_book(self, &self.core, instrument, index, levels)
        self._books.append(self._by_name[instrument.name])
        return index

    def book(self, name: str) -> OrderBook:
        """The book of an instrument. Raises KeyError if there is no such instrument."""
        return self._by_name[name]

    cdef object receive(self, Command* command):
        cdef Event* outcome
        cdef int reason
        self.turn.expect()
        self.events.clear()
        reason = run(&self.core, command)
        outcome = <Event*>(<char*>self.events.buffer.event + self.events.buffer.outcome)
        if reason:
            raise Rejected(Reason(reason), outcome.order)
        if command.kind == PLACE:
            return outcome.order
        if command.kind == OPEN_ACCOUNT:
            return outcome.account
        return self.events.select(1 << ALL_CANCELLED)[0].orders if command.kind in (CANCEL_ALL, MASS_CANCEL) else None

    def execute(self, commands: Commands | bytes | bytearray | memoryview) -> int:
        """Run a buffer of commands without holding the interpreter's lock. Returns how many commands were refused.

        Raises ValueError if the buffer is not a whole number of records, and Busy if another thread runs this exchange. A buffer that others could write to
        meanwhile is copied first.
        """
        cdef Py_buffer view
        cdef Py_ssize_t refused = 0
        self.turn.expect()
        if not isinstance(commands.obj if isinstance(commands, memoryview) else commands, (bytes, Commands)):
            commands = bytes(commands)
        PyObject_GetBuffer(commands, &view, PyBUF_SIMPLE)
        try:
            if view.len % sizeof(Command):
                raise ValueError(f"{view.len} bytes: expected a multiple of {sizeof(Command)}")
            self.events.clear()
            self.turn.taken = True
            with nogil:
                run_all(&self.core, <const Command*>view.buf, view.len // sizeof(Command), &refused)
            self.turn.taken = False
        finally:
            PyBuffer_Release(&view)
        return refused

    def balance(self, account: int, asset: int) -> tuple[int, int]:
        """Units available and held."""
        known_account(self.read(), account)
        known_asset(self.read(), asset)
        return balance_of(&self.core.accounts, account, asset).available, balance_of(&self.core.accounts, account, asset).held

    def balances(self, account: int) -> list[tuple[int, int]]:
        """The units available and held, for each asset."""
        return [self.balance(account, asset) for asset in range(self.core.accounts.assets)]

    def fees(self, asset: int) -> int:
        """The units of an asset that were collected as fees."""
        known_asset(self.read(), asset)
        return self.core.accounts.fees[asset]

    def supply(self, asset: int) -> int:
        """The units of an asset that were deposited and not withdrawn: the sum of all accounts and the fees."""
        known_asset(self.read(), asset)
        return self.core.accounts.supply[asset]

    def orders(self, account: int) -> list[OrderRecord]:
        """The open orders of an account, in the order in which they were accepted. O(these orders)."""
        cdef uint32_t slot
        cdef list orders = []
        known_account(self.read(), account)
        slot = self.core.accounts.account[account].earliest
        while slot:
            orders.append(order_record(&self.core, slot))
            slot = self.core.orders.order[slot].later
        return orders

    def order(self, order: int) -> OrderRecord | None:
        """The open order with this id, None if there is none. O(1)."""
        cdef uint32_t slot = slot_of(&self.read().orders, order)
        return order_record(&self.core, slot) if slot else None

    def snapshot(self) -> bytes:
        """The whole state as bytes: a head of 32 bytes, then what `restore` needs. Equal states give the same bytes. O(the whole state).

        The head holds the name and the version of the format, the length and the CRC-32 of the rest, and the state hash.
        """
        cdef Writer out = Writer(SNAPSHOT_VERSION)
        self.turn.expect()
        for _ in range(0, SNAPSHOT_HEAD.size, 8):
            out.put(0)
        for number in (self.core.orders.count_max, self.core.accounts.count_max, self._tombstones, self.core.client_ids.done_max,
                       self.core.client_ids.key[0], self.core.client_ids.key[1], self.core.rules, len(self._assets)):
            out.put(number)
        for name, decimals in self._assets.items():
            out.text(name)
            out.put(decimals)
        out.put(len(self._books))
        for book in self._books:
            for field in book.instrument:
                if isinstance(field, int):
                    out.put(<uint64_t><int64_t>field)
                else:
                    out.text(str(field))
        write_state(self.read(), out)
        body = out.behind(SNAPSHOT_HEAD.size)
        out.overwrite(SNAPSHOT_HEAD.pack(SNAPSHOT_MAGIC, len(body), crc32(body), self.state_hash()))
        return bytes(out)

    @staticmethod
    def restore(data: bytes | bytearray | memoryview, key: int = 0) -> Exchange:
        """The exchange of a snapshot. Raises BadSnapshot if the bytes are not a complete and correct snapshot. O(the whole state).

        `key` is for a snapshot of version 1, which holds no key. Such an exchange keeps the rules that it had: see the end of engine/REFERENCE.md.
        """
        cdef Exchange exchange
        cdef Reader source
        cdef uint64_t found
        if len(data) < SNAPSHOT_HEAD.size:
            raise BadSnapshot(f"{len(data)} bytes: expected at least the {SNAPSHOT_HEAD.size} of a snapshot's head")
        magic, length, checksum, state = SNAPSHOT_HEAD.unpack_from(data)
        body = memoryview(data)[SNAPSHOT_HEAD.size :]
        version = magic[7]
        if magic[:7] != SNAPSHOT_MAGIC[:7] or not 1 <= version <= SNAPSHOT_VERSION:
            raise BadSnapshot(f"the first bytes are {magic!r}: expected {SNAPSHOT_MAGIC!r}, a snapshot of version {SNAPSHOT_VERSION} or below")
        if len(body) != length:
            raise BadSnapshot(f"{len(body)} bytes after the head: expected {length}")
        if crc32(body) != checksum:
            raise BadSnapshot(f"the checksum is {crc32(body):08x}: expected {checksum:08x}")
        source = Reader(body, version)
        try:
            bounds = [source.get() for _ in range(4)]
            if version > 1:
                key = int.from_bytes(source.get().to_bytes(8, "little") + source.get().to_bytes(8, "little"), "little")
            exchange = Exchange(*bounds, key)
            exchange.core.rules = source.below(RULES + 1) if version > 1 else 1
            for _ in range(source.below(ASSETS_MAX + 1)):
                name = source.text()
                exchange.add_asset(name, source.get())
            for _ in range(source.below(1 << 16)):
                names = [source.text() for _ in range(3)]
                scales = [Decimal(source.text()) for _ in range(2)]
                numbers = [<int64_t>source.get() for _ in range(len(Instrument._fields) - 5 - len(VERSION_1_BOUNDS) * (version == 1))]
                exchange.add_instrument(Instrument(*names, *scales, *numbers, **(VERSION_1_BOUNDS if version == 1 else {})))
        except (ArithmeticError, MemoryError, ValueError) as error:
            raise BadSnapshot(f"byte {source.at} of the state: {error}") from error
        with nogil:    # so that the process's other threads have their turn
            read_state(&exchange.core, source)
            found = hash_of(&exchange.core)
        if not source.ended() or found != state:
            raise BadSnapshot(f"the state's hash is {found:016x}: expected {state:016x}")
        return exchange

    def state_hash(self) -> int:
        """A 64-bit hash of the books, queues, balances and everything else that can affect later commands. O(the whole state)."""
        return hash_of(self.read())

    def check(self) -> None:
        """Check that all parts of the state agree. Raises Inconsistent if they do not. O(the whole state)."""
        check_core(self.read())
        for book in self._books:
            book.levels.check()
            if book.levels.crossed:
                raise Inconsistent(f"{book.instrument.name} is crossed")
