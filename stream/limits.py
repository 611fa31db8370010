"""What one address, one account and one connection may do: token buckets and counts, and how often each limit was hit."""

from collections import Counter
from ipaddress import ip_address, ip_network

from stream.config import Config


class Bucket:
    """A token bucket: `burst` at once, `per_s` in the long run."""

    __slots__ = ("_at", "_burst", "_level", "_per_s")

    def __init__(self, per_s: int, burst: int, now: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._level = float(burst)
        self._at = now

    def take(self, now: int, amount: int = 1) -> bool:
        """Take so many; False if there are not as many, and nothing is taken."""
        self._refill(now)
        if self._level < amount:
            return False
        self._level -= amount
        return True

    def owe(self, amount: int) -> None:
        """Take so many more for what has been granted already, if need be into debt."""
        self._level -= amount

    def _refill(self, now: int) -> None:
        self._level = min(float(self._burst), self._level + (now - self._at) / 10**9 * self._per_s)
        self._at = now

    def full(self, now: int) -> bool:
        """Whether it is as if nothing had ever been taken."""
        self._refill(now)
        return self._level >= self._burst


class Address:
    """What one address has."""

    __slots__ = ("connections", "handshakes", "sign_ins")

    def __init__(self, config: Config, now: int) -> None:
        self.connections = 0
        self.handshakes = Bucket(config.handshakes_per_s, config.handshakes_burst, now)
        self.sign_ins = Bucket(config.sign_ins_per_s, config.sign_ins_burst, now)


class Account:
    """What one account has, over all its connections."""

    __slots__ = ("cancels", "connections", "orders")

    def __init__(self, config: Config, now: int) -> None:
        self.connections = 0
        self.orders = Bucket(config.orders_per_s, config.orders_burst, now)
        self.cancels = Bucket(config.cancels_per_s, config.cancels_burst, now)


def block_of(address: str) -> str:
    """What is counted as one address: an IPv4 address, or the /64 of an IPv6 one, which is what one customer has."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ip_network((parsed, 64), strict=False))


class Limits:
    """The addresses and accounts that anybody is connected from, or was a moment ago. `hit` counts by the name of the setting."""

    def __init__(self, config: Config, now: int) -> None:
        self._config = config
        self.header_sign_ins = Bucket(config.header_sign_ins_per_s, config.header_sign_ins_burst, now)
        self._addresses: dict[str, Address] = {}
        self._accounts: dict[int, Account] = {}
        self.hit: Counter[str] = Counter()

    def address(self, address: str, now: int) -> Address:
        """What an address has."""
        return self._addresses.setdefault(block_of(address), Address(self._config, now))

    def account(self, account: int, now: int) -> Account:
        """What an account has."""
        return self._accounts.setdefault(account, Account(self._config, now))

    def forget(self, now: int) -> None:
        """Forget those who are gone and owe nothing."""
        for block, address in list(self._addresses.items()):
            if not address.connections and address.handshakes.full(now) and address.sign_ins.full(now):
                del self._addresses[block]
        for number, account in list(self._accounts.items()):
            if not account.connections and account.orders.full(now) and account.cancels.full(now):
                del self._accounts[number]
