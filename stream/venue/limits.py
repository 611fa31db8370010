"""What one address, one account and one connection may do: token buckets and counts, and how often each limit was hit."""

from collections import Counter

from stream.access.addresses import block_of
from stream.settings.config import Config
from stream.venue.allowances import AccountAllowance
from stream.wire.bucket import Bucket


class AddressAllowance:
    """What one address has."""

    __slots__ = ("arrivals", "connections", "handshakes", "sign_ins", "suspect")

    def __init__(self, config: Config, now: int) -> None:
        self.connections = 0
        self.suspect = False    # whether it has sent a token that was refused
        self.arrivals = Bucket(config.arrivals_per_s, config.arrivals_burst, now)
        self.handshakes = Bucket(config.handshakes_per_s, config.handshakes_burst, now)
        self.sign_ins = Bucket(config.sign_ins_per_s, config.sign_ins_burst, now)


class Limits:
    """The addresses and accounts that have, or had a moment ago, a connection. `hit` counts how often each limit was hit, by the name of its setting."""

    def __init__(self, config: Config, now: int) -> None:
        self._config = config
        self.connections_per_address_max = config.connections_per_address_max
        self.header_sign_ins = Bucket(config.header_sign_ins_per_s, config.header_sign_ins_burst, now)
        self.addresses: dict[str, AddressAllowance] = {}
        self.accounts: dict[int, AccountAllowance] = {}
        self.hit: Counter[str] = Counter()

    def told(self, message_bytes_max: int) -> dict[str, int]:
        """The limits that a client is told about its connection."""
        config = self._config
        return {
            "subscriptions_max": config.subscriptions_max, "message_bytes_max": message_bytes_max,
            "messages_per_s": config.messages_per_s, "messages_burst": config.messages_burst, "under_way_max": config.under_way_max,
        }

    def address(self, address: str, now: int) -> AddressAllowance:
        """What an address has."""
        block = block_of(address)
        found = self.addresses.get(block)
        if found is None:
            found = self.addresses[block] = AddressAllowance(self._config, now)
        return found

    def account(self, account: int, now: int) -> AccountAllowance:
        """What an account has."""
        found = self.accounts.get(account)
        if found is None:
            found = self.accounts[account] = AccountAllowance(self._config, now)
        return found

    def arrive(self, address: AddressAllowance, now: int) -> bool:
        """Whether another connection or request may come from an address."""
        if address.arrivals.take(now):
            return True
        self.hit["arrivals_per_s"] += 1
        return False

    def open(self, address: AddressAllowance, now: int) -> str:
        """Count one more open connection of an address. If it is one too many, returns what was expected, else ""."""
        address.connections += 1
        if address.connections > self.connections_per_address_max:
            self.hit["connections_per_address_max"] += 1
            return f"expected at most {self.connections_per_address_max} connections from one address"
        if not address.handshakes.take(now):
            self.hit["handshakes_per_s"] += 1
            return f"expected at most {self._config.handshakes_per_s} new connections per second from one address"
        return ""

    def sign_in(self, address: AddressAllowance, now: int, in_common: bool) -> str:
        """The limit because of which a token in a handshake is not checked; "" for none. The address's own allowance is used up first.

        The allowance that all addresses have `in_common` is refused only to addresses that have sent a bad token. So no number of strangers can use up
        what other clients need.
        """
        if not address.sign_ins.take(now):
            return "sign_ins_per_s"
        if in_common and not self.header_sign_ins.take(now) and address.suspect:
            return "header_sign_ins_per_s"
        return ""

    def forget(self, now: int) -> None:
        """Forget addresses and accounts that have no connection and owe nothing."""
        for block, address in list(self.addresses.items()):
            if not address.connections and address.arrivals.full(now) and address.handshakes.full(now) and address.sign_ins.full(now):
                del self.addresses[block]
        for number, account in list(self.accounts.items()):
            if not account.connections and account.orders.full(now) and account.cancels.full(now):
                del self.accounts[number]
