from enum import IntEnum

class Side(IntEnum):
    BUY = 0
    SELL = 1

class OrderType(IntEnum):
    LIMIT = 0
    MARKET = 1

class TimeInForce(IntEnum):
    GTC = 0
    IOC = 1
    FOK = 2

class CommandKind(IntEnum):
    PLACE = 1
    CANCEL = 2
    REDUCE = 3
    REPLACE = 4
    CANCEL_ALL = 5
    OPEN_ACCOUNT = 6
    DEPOSIT = 7
    WITHDRAW = 8

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
