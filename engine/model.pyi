from enum import IntEnum

class Side(IntEnum):
    BUY = 0
    SELL = 1

class OrderType(IntEnum):
    LIMIT = 0
    MARKET = 1
    STOP = 2
    STOP_LIMIT = 3
    TRAILING_STOP = 4

class TimeInForce(IntEnum):
    GTC = 0
    IOC = 1
    FOK = 2
    GTD = 3
    DAY = 4

class SelfTrade(IntEnum):
    ACCOUNT_DEFAULT = 0
    ALLOW = 1
    CANCEL_NEWEST = 2
    CANCEL_OLDEST = 3
    CANCEL_BOTH = 4
    DECREMENT = 5

class Phase(IntEnum):
    TRADING = 0
    HALT = 1
    AUCTION = 2

class CommandKind(IntEnum):
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

class EventKind(IntEnum):
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

class Reason(IntEnum):
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
