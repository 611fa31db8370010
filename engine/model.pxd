"""The vocabulary of the engine: its constants and its fixed-size records."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cpdef enum Side:
    BUY = 0
    SELL = 1


cpdef enum OrderType:
    LIMIT = 0
    MARKET = 1


cpdef enum TimeInForce:
    GTC = 0
    IOC = 1
    FOK = 2


cpdef enum CommandKind:
    PLACE = 1
    CANCEL = 2
    REDUCE = 3
    REPLACE = 4
    CANCEL_ALL = 5
    OPEN_ACCOUNT = 6
    DEPOSIT = 7
    WITHDRAW = 8


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


cdef enum:
    ALL_INSTRUMENTS = 0xFFFF    # the instrument of a CANCEL_ALL that means every book
    POST_ONLY = 1               # Command.flags
    LAST = 1                    # Event.flags: the last event of its batch
    TAKER = 2                   # Event.flags: a FILLED of the incoming order


cdef struct Command:            # 64 bytes
    int64_t time                # ns since 1970; the engine has no clock of its own
    uint64_t order              # target of CANCEL, REDUCE, REPLACE; 0 to name it by client_id
    uint64_t client_id          # the account's own name for the order; 0 for none
    int64_t price               # ticks; a market order's protection price, 0 for none
    int64_t size                # lots; asset units for DEPOSIT and WITHDRAW
    uint32_t account
    uint16_t instrument         # index; the asset's for DEPOSIT and WITHDRAW
    uint8_t kind
    uint8_t side
    uint8_t type
    uint8_t time_in_force
    uint8_t flags
    uint8_t spare[13]


cdef struct Event:              # 80 bytes
    uint64_t seq                # dense over all instruments and accounts
    uint64_t order
    uint64_t other              # client id; for TRADE the maker's order; for LEVEL the order count
    int64_t price
    int64_t size
    int64_t remaining
    int64_t filled
    int64_t value
    uint32_t account
    uint16_t instrument         # index; the asset's for BALANCE
    uint8_t kind
    uint8_t side
    uint8_t reason
    uint8_t flags
    uint8_t spare[6]
