from engine import Exchange
from stream.commands.results import Status

STATUSES: tuple[Status, Status, Status, Status]

def outcome_of(exchange: Exchange, index: int) -> tuple[int, int, int, int, Status, int, int, int, int]: ...
