"""Listen keys: what opens a user data stream in the older way. Whoever has one can follow the account, and do nothing else."""

import secrets
from typing import NamedTuple

from stream.access.claims import Claims

LIFETIME = 3600 * 10**9
"""How long one is good after it was made or kept alive."""

PATTERN = r"^[0-9A-Za-z_-]{64}$"


class ListenKey(NamedTuple):
    """Whose it is, and until when it is good."""

    claims: Claims
    expires: int


class ListenKeys:
    """Those that are good: one for each API key that has asked for one."""

    def __init__(self) -> None:
        self._keys: dict[str, ListenKey] = {}

    def make(self, claims: Claims, now: int) -> str:
        """The one of an API key, which is good for as long as a new one."""
        self.forget(now)
        key = next((key for key, each in self._keys.items() if each.claims.token_id == claims.token_id), "") or secrets.token_urlsafe(48)
        self._keys[key] = ListenKey(claims, now + LIFETIME)
        return key

    def find(self, key: str, now: int) -> Claims | None:
        """Whose it is; None if it is not good."""
        found = self._keys.get(key)
        return found.claims if found and now < found.expires else None

    def end(self, key: str) -> None:
        """It is good no longer."""
        self._keys.pop(key, None)

    def forget(self, now: int) -> None:
        """Forget those that are not good."""
        self._keys = {key: each for key, each in self._keys.items() if now < each.expires}
