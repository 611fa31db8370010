"""What a token says, or an API key."""

from typing import NamedTuple


class Claims(NamedTuple):
    """What a token says, or an API key. Times are in seconds since 1970. `token_id` is the key's id, or the token's: "" if it has none."""

    subject: str
    scopes: frozenset[str]
    expires: int
    issued: float = 0
    token_id: str = ""
