"""The vocabulary of the engine: its constants and its fixed-size records."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cpdef enum Side:
    BUY = 0
    SELL = 1


cpdef enum OrderType:
    LIMIT = 0
    MARKET = 1
    STOP = 2
    STOP_LIMIT = 3
    TRAILING_STOP = 4
    TAKE_PROFIT = 5
    TAKE_PROFIT_LIMIT = 6


cpdef enum TimeInForce:
    GTC = 0
    IOC = 1
    FOK = 2
    GTD = 3
    DAY = 4


cpdef enum SelfTrade:
    ACCOUNT_DEFAULT = 0
    ALLOW = 1
    CANCEL_NEWEST = 2
    CANCEL_OLDEST = 3
    CANCEL_BOTH = 4
    DECREMENT = 5


cpdef enum Phase:
    TRADING = 0
    HALT = 1
    AUCTION = 2
    DELISTED = 3


cpdef enum CommandKind:
    PLACE = 1
    CANCEL = 2
    REDUCE = 3
    REPLACE = 4
    CANCEL_ALL = 5
    OPEN_ACCOUNT = 6
    DEPOSIT = 7
    WITHDRAW = 8
    ADVANCE = 9
    SET_ACCOUNT = 10
    SET_FEES = 11
    SET_REFERENCE = 12
    SET_PHASE = 13
    MASS_CANCEL = 14
    FREEZE = 15
    SET_LIMITS = 16
    SET_TIER = 17
    PAY_FEES = 18
    DELIST = 19
    SET_BAND = 20


cpdef enum EventKind:
    ACCEPTED = 1
    REJECTED = 2
    FILLED = 3
    CANCELLED = 4
    REDUCED = 5
    REPLACED = 6
    ALL_CANCELLED = 7
    TRADE = 8
    LEVEL = 9
    BALANCE = 10
    ACCOUNT_OPENED = 11
    TRIGGERED = 12
    DISPLAYED = 13
    WAITING = 14
    PHASE = 15
    ADVANCED = 16
    ACCOUNT_SET = 17
    FEES_SET = 18
    REFERENCE_SET = 19
    BAND_SET = 20


cpdef enum Reason:
    NO_REASON = 0
    UNKNOWN_COMMAND = 1
    UNKNOWN_INSTRUMENT = 2
    UNKNOWN_ACCOUNT = 3
    UNKNOWN_ASSET = 4
    UNKNOWN_ORDER = 5
    UNKNOWN_OPTION = 6
    PRICE_OUT_OF_RANGE = 7
    SIZE_TOO_SMALL = 8
    SIZE_TOO_LARGE = 9
    NOTIONAL_TOO_LARGE = 10
    INSUFFICIENT_FUNDS = 11
    DUPLICATE_CLIENT_ID = 12
    POST_ONLY_WOULD_TAKE = 13
    UNFILLABLE = 14
    TOO_MANY_ORDERS = 15
    AMOUNT_OUT_OF_RANGE = 16
    TOO_MANY_ACCOUNTS = 17
    REQUESTED = 18
    UNFILLED = 19
    EXPIRED = 20
    SELF_TRADE = 21
    LINKED = 22
    HALTED = 23
    WRONG_PHASE = 24
    ALREADY_EXPIRED = 25
    NO_REFERENCE = 26
    NOT_LINKABLE = 27
    PRICE_OUT_OF_BAND = 28
    TOO_MANY_PARTS = 29
    TOO_MANY_STOPS = 30
    TOO_MANY_FILLS = 31
    ACCOUNT_FROZEN = 32
    NOT_LISTED = 33


cdef extern from *:
    """
    #define ALL_ACCOUNTS UINT32_MAX     /* the account of a MASS_CANCEL that means every account */
    """
    const uint32_t ALL_ACCOUNTS


cdef enum:
    ALL_INSTRUMENTS = 0xFFFF    # the instrument of a CANCEL_ALL or MASS_CANCEL that means every book
    BOTH_SIDES = 2              # its side that means both
    POST_ONLY = 1               # Command.flags
    SLIDE = 2
    QUOTE = 4
    LAST = 1                    # Event.flags: the last event of its batch
    TAKER = 2                   # Event.flags: a FILLED of the incoming order


# A field has a name for each thing that it holds. engine/REFERENCE.md and `engine.Event` say which kinds have which.
cdef extern from *:
    """
    struct Command {
        int64_t time;
        union { uint64_t order, linked, group; };
        union { uint64_t client_id, orders_max; };
        union { int64_t price, maker_rate, notional_max, band; };
        union { int64_t size, taker_rate, size_max, amount; };
        int64_t stop, display, min_size, expires;
        uint32_t account;
        union { uint16_t instrument, asset; };
        uint8_t kind, side;
        union { uint8_t type, tier, phase, frozen, delisted; };
        uint8_t time_in_force, flags, self_trade, spare[4];
    };
    struct Event {
        uint64_t seq, order;
        union { uint64_t client_id, maker, orders, phase, tier; };
        union { int64_t price, maker_rate, band; };
        union { int64_t size, taker_rate, available; };
        union { int64_t remaining, maker_fee, held; };
        union { int64_t filled, taker_fee; };
        union { int64_t value, clock; };
        uint32_t account;
        union { uint16_t instrument, asset; };
        uint8_t kind, side, reason, flags, spare[6];
    };
    """
    cdef struct Command:        # 88 bytes
        int64_t time            # ns since 1970; the engine has no clock of its own
        uint64_t order, linked, group
        uint64_t client_id, orders_max
        int64_t price, maker_rate, notional_max, band
        int64_t size, taker_rate, size_max, amount
        int64_t stop, display, min_size, expires
        uint32_t account
        uint16_t instrument, asset
        uint8_t kind, side
        uint8_t type, tier, phase, frozen, delisted
        uint8_t time_in_force, flags, self_trade

    cdef struct Event:          # 80 bytes
        uint64_t seq            # dense over all instruments and accounts
        uint64_t order
        uint64_t client_id, maker, orders, phase, tier
        int64_t price, maker_rate, band
        int64_t size, taker_rate, available
        int64_t remaining, maker_fee, held
        int64_t filled, taker_fee
        int64_t value, clock
        uint32_t account
        uint16_t instrument, asset
        uint8_t kind, side, reason, flags
