"""The latest events of accounts, and the frames that are written straight from them. No event is a Python object before somebody reads it.

The bytes are those of `MSGPACK.frame` for an `Orders` or a `Balances`.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free

from engine.book cimport OpenOrder, find_open
from engine.events cimport EventBuffer, fee_of
from engine.exchange cimport Exchange
from engine.model cimport (
    ACCEPTED, BALANCE, CANCELLED, DISPLAYED, FILLED, LIMIT, REDUCED, REPLACED, SELL, TAKER, TRIGGERED, WAITING, Event,
)
from stream.feed.logs cimport begin, entry_of, first_after, framed, head_of, new_entry, put_packed, written
from stream.wire.packing cimport ARRAY_MAX, NUMBER_MAX, put_array, put_number, put_signed

from collections.abc import Sequence

import msgspec

from engine.model import EventKind, OrderType, Reason
from stream.wire.channels import BALANCES, ORDERS
from stream.wire.frames import Balance, Balances, Orders, OrderUpdate

cdef enum:
    TEXTS_MAX = 6 * 66          # bytes of all texts of an entry

cdef uint32_t OF_ORDERS = (
    1 << <int>ACCEPTED | 1 << <int>WAITING | 1 << <int>TRIGGERED | 1 << <int>DISPLAYED | 1 << <int>FILLED | 1 << <int>CANCELLED
    | 1 << <int>REDUCED | 1 << <int>REPLACED
)

cdef object packed = msgspec.msgpack.encode
KINDS = {int(kind): kind.name.lower() for kind in EventKind}
TYPES = {int(type): type.name.lower() for type in OrderType}
REASONS = {int(reason): reason.name.lower() if reason else "" for reason in Reason}
SIDES = "buy", "sell"
LIQUIDITIES = "", "maker", "taker"


cdef list packed_texts(texts):
    return [packed(texts.get(i, "")) for i in range(max(texts) + 1)]


cdef list PACKED_KINDS = packed_texts(KINDS)
cdef list PACKED_TYPES = packed_texts(TYPES)
cdef list PACKED_REASONS = packed_texts(REASONS)
cdef list PACKED_SIDES = [packed(side) for side in SIDES]
cdef list PACKED_LIQUIDITIES = [packed(liquidity) for liquidity in LIQUIDITIES]
cdef uint32_t ORDER_FIELDS = len(OrderUpdate.__struct_fields__)


cdef struct OrderEntry:
    uint64_t seq
    uint64_t order
    uint64_t client_id
    uint64_t linked
    int64_t time
    int64_t price
    int64_t remaining
    int64_t filled
    int64_t value
    int64_t fill_price
    int64_t fill_size
    int64_t fee
    int64_t stop
    int64_t displayed
    int64_t expires
    uint16_t instrument
    uint8_t kind
    uint8_t side
    uint8_t liquidity
    uint8_t type
    uint8_t reason


cdef struct BalanceEntry:
    uint64_t seq
    int64_t available
    int64_t held
    uint32_t asset


cdef class OwnLog:
    """The latest entries of one account. `floor`: up to this sequence some are missing; `seq` is the last one's."""

    def __dealloc__(self) -> None:
        free(self.ring.data)

    cdef unsigned char* put_from(self, unsigned char* to, uint32_t first):
        """The entries from a place on."""
        raise NotImplementedError

    cdef size_t room(self, uint32_t first):
        """The most bytes of a payload with the entries from a place on."""
        raise NotImplementedError

    cdef bytes frame_since(self, int64_t prev, int64_t epoch, int64_t seq, int64_t now):
        """The frame of what happened after `prev` up to `seq`, None if some of it is forgotten. O(entries in it)."""
        cdef uint32_t first
        cdef unsigned char* to
        if prev < self.floor:
            return None
        first = first_after(&self.ring, prev)
        to = put_packed(begin(self.room(first)), self.head)
        to = put_number(put_number(put_number(to, epoch), prev), seq)
        return framed(put_number(self.put_from(to, first), now))

    def since(self, prev: int, at: Sequence[int]) -> bytes | None:
        """The same; `at` is a Point: epoch, seq, engine_time, now."""
        return self.frame_since(prev, at[0], at[1], at[3])


@cython.final
cdef class OrderLog(OwnLog):
    """The latest events of one account's orders."""

    cdef Exchange exchange
    cdef list names             # of the instruments, in MessagePack
    cdef dict limits            # by order

    def __init__(self, exchange: Exchange, account: int, names: list[bytes], kept: int) -> None:
        self.ring.item = sizeof(OrderEntry)
        self.ring.kept = kept
        self.exchange = exchange
        self.names = names
        self.limits = {order.order: order.price for order in exchange.orders(account)}
        self.floor = self.seq = exchange.seq
        self.head = head_of(ORDERS, ORDERS, Orders.__struct_fields__)

    cdef int add(self, const Event* event, int64_t time) except -1:
        """Take in an event of one of the account's orders, after all commands of its call have run."""
        cdef OrderEntry* entry = <OrderEntry*>new_entry(&self.ring, &self.floor)
        cdef OpenOrder found
        cdef object order = event.order
        entry.price = event.price
        if event.kind == ACCEPTED or event.kind == REPLACED:
            self.limits[order] = event.price
        else:
            entry.price = self.limits.get(order, event.price)
        if event.remaining == 0:
            self.limits.pop(order, None)
        entry.seq, entry.time, entry.kind = event.seq, time, event.kind
        entry.order, entry.client_id = event.order, event.client_id
        entry.instrument, entry.side, entry.reason = event.instrument, event.side, event.reason
        entry.remaining, entry.filled, entry.value = event.remaining, event.filled, event.value
        if find_open(&self.exchange.core, event.order, &found):
            entry.type, entry.stop, entry.displayed, entry.expires, entry.linked = found.type, found.stop, found.displayed, found.expires, found.linked
        else:
            entry.type, entry.stop, entry.displayed, entry.expires, entry.linked = LIMIT, 0, 0, 0, 0
        entry.fill_price = entry.fill_size = entry.fee = entry.liquidity = 0
        if event.kind == FILLED:
            entry.fill_price, entry.fill_size, entry.fee = event.price, event.size, fee_of(event)
            entry.liquidity = 2 if event.flags & TAKER else 1
        elif event.kind == WAITING or event.kind == TRIGGERED:
            entry.stop = event.price
        self.seq = event.seq
        return 0

    cdef unsigned char* put(self, unsigned char* to, const OrderEntry* entry):
        to = put_array(to, ORDER_FIELDS)
        to = put_number(put_number(to, entry.seq), entry.time)
        to = put_packed(to, PACKED_KINDS[entry.kind])
        to = put_number(put_number(to, entry.order), entry.client_id)
        to = put_packed(to, self.names[entry.instrument])
        to = put_packed(to, PACKED_SIDES[entry.side])
        to = put_number(put_number(put_number(put_number(to, entry.price), entry.remaining), entry.filled), entry.value)
        to = put_signed(put_number(put_number(to, entry.fill_price), entry.fill_size), entry.fee)
        to = put_packed(to, PACKED_LIQUIDITIES[entry.liquidity])
        to = put_packed(to, PACKED_TYPES[entry.type])
        to = put_number(put_number(put_number(put_number(to, entry.stop), entry.displayed), entry.expires), entry.linked)
        return put_packed(to, PACKED_REASONS[entry.reason])

    cdef unsigned char* put_from(self, unsigned char* to, uint32_t first):
        cdef uint32_t i
        to = put_array(to, self.ring.count - first)
        for i in range(first, self.ring.count):
            to = self.put(to, <OrderEntry*>entry_of(&self.ring, i))
        return to

    cdef size_t room(self, uint32_t first):
        return len(self.head) + 4 * NUMBER_MAX + ARRAY_MAX + (self.ring.count - first) * (ORDER_FIELDS * NUMBER_MAX + TEXTS_MAX)

    def entries(self) -> list[tuple[int, OrderUpdate]]:
        """All that are kept, each with its sequence, oldest first."""
        cdef unsigned char* end = self.put_from(begin(self.room(0)), 0)
        updates = msgspec.msgpack.decode(written()[: end - written()], type=list[OrderUpdate])
        return [(update.seq, update) for update in updates]

    def restore(self, floor: int, entries: list[tuple[int, OrderUpdate]]) -> None:
        """Go on where another log was."""
        cdef OrderEntry* entry
        cdef list names = [msgspec.msgpack.decode(name) for name in self.names]
        self.ring.count = self.ring.first = 0
        self.floor = self.seq = floor
        for seq, update in entries:
            entry = <OrderEntry*>new_entry(&self.ring, &self.floor)
            entry.seq, entry.time, entry.order, entry.client_id, entry.linked = update.seq, update.time, update.order, update.client_id, update.linked
            entry.price, entry.remaining, entry.filled, entry.value = update.price, update.remaining, update.filled, update.value
            entry.fill_price, entry.fill_size, entry.fee = update.fill_price, update.fill_size, update.fee
            entry.stop, entry.displayed, entry.expires = update.stop, update.displayed, update.expires
            entry.instrument, entry.kind, entry.side = names.index(update.instrument), key_of(KINDS, update.event), SIDES.index(update.side)
            entry.liquidity, entry.type = LIQUIDITIES.index(update.liquidity), key_of(TYPES, update.type)
            entry.reason = key_of(REASONS, update.reason)
            self.seq = seq


cdef int key_of(dict texts, str text) except -1:
    return next(key for key, each in texts.items() if each == text)


@cython.final
cdef class BalanceLog(OwnLog):
    """The latest changes of one account's balances."""

    cdef Exchange exchange
    cdef list assets            # in MessagePack: how each one's entries begin

    def __init__(self, exchange: Exchange, kept: int) -> None:
        self.ring.item = sizeof(BalanceEntry)
        self.ring.kept = kept
        self.exchange = exchange
        self.assets = []
        self.floor = self.seq = exchange.seq
        self.head = head_of(BALANCES, BALANCES, Balances.__struct_fields__)

    cdef int add(self, const Event* event) except -1:
        """Take in a BALANCE of the account."""
        cdef BalanceEntry* entry = <BalanceEntry*>new_entry(&self.ring, &self.floor)
        entry.seq, entry.asset, entry.available, entry.held = event.seq, event.asset, event.available, event.held
        self.seq = event.seq
        return 0

    cdef unsigned char* put_from(self, unsigned char* to, uint32_t first):
        cdef uint32_t i
        cdef BalanceEntry* entry
        to = put_array(to, self.ring.count - first)
        for i in range(first, self.ring.count):
            entry = <BalanceEntry*>entry_of(&self.ring, i)
            to = put_packed(to, self.assets[entry.asset])
            to = put_number(put_number(to, entry.available), entry.held)
        return to

    cdef size_t room(self, uint32_t first):
        """Also learns of new assets."""
        cdef size_t longest
        if len(self.assets) != self.exchange.core.accounts.assets:
            fields = len(Balance.__struct_fields__)
            self.assets = [bytes((0x90 | fields,)) + packed(name) + packed(decimals) for name, decimals in self.exchange.assets().items()]
        longest = max((len(asset) for asset in self.assets), default=0)
        return len(self.head) + 4 * NUMBER_MAX + ARRAY_MAX + (self.ring.count - first) * (longest + 2 * NUMBER_MAX)

    def entries(self) -> list[tuple[int, Balance]]:
        """All that are kept, each with its sequence, oldest first."""
        cdef uint32_t i
        cdef unsigned char* end = self.put_from(begin(self.room(0)), 0)
        balances = msgspec.msgpack.decode(written()[: end - written()], type=list[Balance])
        return [((<BalanceEntry*>entry_of(&self.ring, i)).seq, balances[i]) for i in range(self.ring.count)]

    def restore(self, floor: int, entries: list[tuple[int, Balance]]) -> None:
        """Go on where another log was."""
        cdef BalanceEntry* entry
        cdef list names = list(self.exchange.assets())
        self.ring.count = self.ring.first = 0
        self.floor = self.seq = floor
        for seq, balance in entries:
            entry = <BalanceEntry*>new_entry(&self.ring, &self.floor)
            entry.seq, entry.asset, entry.available, entry.held = seq, names.index(balance.asset), balance.available, balance.held
            self.seq = seq


@cython.final
cdef class OwnLogs:
    """The logs of all accounts whose events are kept, each with the channel that tells it."""

    cdef Exchange exchange
    cdef dict accounts          # account -> (channel and log of its orders, the same of its balances)
    cdef bytearray kept         # by account, whether it is among them

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.accounts = {}
        self.kept = bytearray()

    def keep(self, account: int, orders: tuple[object, OrderLog], balances: tuple[object, BalanceLog]) -> None:
        """Keep an account's events from now on."""
        self.kept.extend(bytes(max(0, account + 1 - len(self.kept))))
        self.kept[account] = 1
        self.accounts[account] = (orders, balances)

    def forget(self, account: int) -> None:
        """Keep them no longer."""
        self.kept[account] = 0
        del self.accounts[account]

    def apply(self, int64_t time) -> list:
        """Take in the events of the exchange's latest call, of `time`. Returns the channels that have something new, each once."""
        cdef EventBuffer* events = self.exchange.events.told()
        cdef Event* event = events.event
        cdef const unsigned char[:] kept = self.kept
        cdef Py_ssize_t known = kept.shape[0]
        cdef dict changed = {}
        cdef tuple of_orders, of_balances
        while event < events.next:
            if event.account < known and kept[event.account]:
                if OF_ORDERS >> event.kind & 1:
                    of_orders, of_balances = self.accounts[event.account]
                    (<OrderLog>of_orders[1]).add(event, time)
                    changed[of_orders[0]] = None
                elif event.kind == BALANCE:
                    of_orders, of_balances = self.accounts[event.account]
                    (<BalanceLog>of_balances[1]).add(event)
                    changed[of_balances[0]] = None
            event += 1
        return list(changed)
