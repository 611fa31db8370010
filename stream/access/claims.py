"""What a token says."""

from typing import NamedTuple


class Claims(NamedTuple):
    """What a token says. Times are in seconds since 1970; `token_id` is "" if it has none."""

    subject: str
    scopes: frozenset[str]
    expires: int
    issued: float = 0
    token_id: str = ""
