from enum import IntEnum

class Threshold(IntEnum):
    HUGE_PAGE = 0
    LOOKAHEAD = 1
    FEE_AMOUNT = 2
    COMMANDS = 3
    EVENTS = 4
    BATCHES = 5
    TOUCHED_LEVELS = 6
    TOUCHED_BALANCES = 7
    ACCOUNTS = 8
    CLIENT_IDS = 9
    LEVELS = 10
    NODES = 11
    EXPIRIES = 12
    QUEUED_ORDERS = 13
    SNAPSHOT_BYTES = 14

def sides_met() -> dict[str, tuple[int, int]] | None: ...
