from enum import IntEnum

class Threshold(IntEnum):
    LOOKAHEAD = 0
    FEE_AMOUNT = 1
    COMMANDS = 2
    EVENTS = 3
    BATCHES = 4
    TOUCHED_LEVELS = 5
    TOUCHED_BALANCES = 6
    ACCOUNTS = 7
    CLIENT_IDS = 8
    LEVELS = 9
    NODES = 10
    EXPIRIES = 11
    SNAPSHOT_BYTES = 12

def sides_met() -> dict[str, tuple[int, int]] | None: ...
