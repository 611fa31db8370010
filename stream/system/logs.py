"""How the server logs: one JSON object per line, and never so many lines that the disk fills up."""

import logging
import time
from collections.abc import Mapping

import msgspec

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""The attributes that every record has. Any other attribute was given as `extra`."""

RECORDS_PER_MINUTE = 60
"""The most records per minute from one line of code. Further ones are counted, and the next record that passes has the count."""


class Discreet(logging.LoggerAdapter[logging.Logger]):
    """A logger for picows without its debug messages, which show whole handshakes and the tokens in them."""

    def isEnabledFor(self, level: int) -> bool:    # noqa: N802 - the standard library's name
        """Whether a record of this level is to be made."""
        return level >= logging.INFO and super().isEnabledFor(level)


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: time, level, logger, event, its extras, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        extras: Mapping[str, object] = {name: value for name, value in vars(record).items() if name not in STANDARD}
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **extras,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class FloodGate(logging.Filter):
    """Passes a limited number of records per minute from each line of code, and every record of the audit log."""

    def __init__(self, records_per_minute: int = RECORDS_PER_MINUTE) -> None:
        super().__init__()
        self._allowed = records_per_minute
        self._seen: dict[tuple[str, int], tuple[int, int, int]] = {}    # which minute, how many passed, how many did not

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record passes. The first one of a minute says how many did not pass in the minute before."""
        if record.name.endswith(".audit"):
            return True
        line, now = (record.pathname, record.lineno), int(record.created) // 60
        minute, passed, stopped = self._seen.get(line, (now, 0, 0))
        if minute != now:
            if stopped:
                record.suppressed = stopped
            minute, passed, stopped = now, 0, 0
        passes = passed < self._allowed
        self._seen[line] = (minute, passed + passes, stopped + (not passes))
        return passes


def start_logging(level: int = logging.INFO) -> None:
    """Log to standard error. Messages of picows about broken connections are left out, since there are too many."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    handler.addFilter(FloodGate())
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("picows").setLevel(logging.ERROR)
