"""Whoever is told commands: the exchange carries each out, a buffer keeps it."""

from libc.string cimport memset

from engine.model cimport (ADVANCE, ALL_ACCOUNTS, ALL_INSTRUMENTS, ALLOW, BOTH_SIDES, CANCEL, CANCEL_ALL, DELIST, DEPOSIT, FREEZE, MASS_CANCEL, OPEN_ACCOUNT,
                           PAY_FEES, PLACE, POST_ONLY, QUOTE, REDUCE, REPLACE, SET_ACCOUNT, SET_BAND, SET_FEES, SET_LIMITS, SET_PHASE, SET_REFERENCE, SET_TIER,
                           SLIDE, WITHDRAW)


cdef Command command_of(int kind, time, account=0, instrument=0, order=0, price=0, size=0, client_id=0) except *:
    """A command with the fields that most kinds have."""
    cdef Command command
    memset(&command, 0, sizeof(Command))
    command.kind = kind
    command.time = time
    command.account = account
    command.instrument = instrument
    command.order = order
    command.price = price
    command.size = size
    command.client_id = client_id
    return command


cdef class Recipient:
    """A method for each kind of command. A number that does not fit its field raises OverflowError.

    An exchange answers as the method says; a buffer has no answer yet and returns None.
    """

    cdef object receive(self, Command* command):
        """Take a command; what its method returns."""
        raise NotImplementedError

    def open_account(self, time: int = 0) -> int | None:
        """Open an account. Returns its number."""
        cdef Command command = command_of(OPEN_ACCOUNT, time)
        return self.receive(&command)

    def deposit(self, account: int, asset: int, amount: int, time: int = 0) -> None:
        """Add `amount` units of an asset to what an account has available."""
        cdef Command command = command_of(DEPOSIT, time, account)
        command.asset = asset
        command.amount = amount
        self.receive(&command)

    def withdraw(self, account: int, asset: int, amount: int, time: int = 0) -> None:
        """Take `amount` units of an asset from what an account has available."""
        cdef Command command = command_of(WITHDRAW, time, account)
        command.asset = asset
        command.amount = amount
        self.receive(&command)

    def place(
        self, account: int, instrument: int, side: int, price: int, size: int, type: int = 0, time_in_force: int = 0,
        post_only: bool = False, client_id: int = 0, time: int = 0, *, slide: bool = False, quote: bool = False, stop: int = 0,
        display: int = 0, min_size: int = 0, expires: int = 0, linked: int = 0, self_trade: int = 0,
    ) -> int | None:
        """Place an order. Returns its id. O(orders it meets). engine/REFERENCE.md says what each option means, and which can be combined."""
        cdef Command command = command_of(PLACE, time, account, instrument, 0, price, size, client_id)
        command.linked = linked
        command.side = side
        command.type = type
        command.time_in_force = time_in_force
        command.flags = (POST_ONLY if post_only else 0) | (SLIDE if slide else 0) | (QUOTE if quote else 0)
        command.stop = stop
        command.display = display
        command.min_size = min_size
        command.expires = expires
        command.self_trade = self_trade
        return self.receive(&command)

    def cancel(self, account: int, order: int = 0, client_id: int = 0, time: int = 0) -> None:
        """Cancel an order of the account. Name it by its id, or by its client id. O(1)."""
        cdef Command command = command_of(CANCEL, time, account, 0, order, 0, 0, client_id)
        self.receive(&command)

    def reduce(self, account: int, order: int, by: int, client_id: int = 0, time: int = 0) -> None:
        """Reduce an order of the account by `by` lots. It keeps its place. If no lots are left, it is cancelled. O(1)."""
        cdef Command command = command_of(REDUCE, time, account, 0, order, 0, by, client_id)
        self.receive(&command)

    def replace(self, account: int, order: int, price: int, size: int, client_id: int = 0, time: int = 0, stop: int = 0) -> None:
        """Give an order of the account a new price and a new remaining size. `stop` gives a stop that waits a new trigger; 0 keeps the old one.

        It keeps its priority only if it shrinks at its price. O(orders it meets).
        """
        cdef Command command = command_of(REPLACE, time, account, 0, order, price, size, client_id)
        command.stop = stop
        self.receive(&command)

    def cancel_all(self, account: int, instrument: int = ALL_INSTRUMENTS, time: int = 0, side: int = BOTH_SIDES) -> int | None:
        """Cancel an account's orders in one book or in all, on one side or on both. Returns how many were cancelled. O(the account's open orders)."""
        cdef Command command = command_of(CANCEL_ALL, time, account, instrument)
        command.side = side
        return self.receive(&command)

    def advance(self, time: int) -> None:
        """Move the clock to `time`. Orders that have expired by then are cancelled."""
        cdef Command command = command_of(ADVANCE, time)
        self.receive(&command)

    def set_account(
        self, account: int, group: int = 0, tier: int = 0, self_trade: int = ALLOW, orders_max: int = 0, size_max: int = 0,
        notional_max: int = 0, time: int = 0,
    ) -> None:
        """Set all that is particular to an account: group and tier, its orders' self-trade prevention, and limits (0: none)."""
        cdef Command command = command_of(SET_ACCOUNT, time, account)
        command.group = group
        command.tier = tier
        command.self_trade = self_trade
        command.orders_max = orders_max
        command.size_max = size_max
        command.notional_max = notional_max
        self.receive(&command)

    def set_fees(self, instrument: int, tier: int, maker: int, taker: int, time: int = 0) -> None:
        """Set the fees of a tier in an instrument, in parts per million of the notional. A maker's fee below 0 is a rebate."""
        cdef Command command = command_of(SET_FEES, time, 0, instrument)
        command.tier = tier
        command.maker_rate = maker
        command.taker_rate = taker
        self.receive(&command)

    def set_reference(self, instrument: int, price: int, time: int = 0) -> None:
        """Set the reference price, around which the band lies, in ticks. 0: the price of the last trade."""
        cdef Command command = command_of(SET_REFERENCE, time, 0, instrument, 0, price)
        self.receive(&command)

    def set_phase(self, instrument: int, phase: int, time: int = 0) -> None:
        """Let an instrument trade, halt it, or collect its orders for an auction. The next phase of trading uncrosses the auction. O(its orders)."""
        cdef Command command = command_of(SET_PHASE, time, 0, instrument)
        command.phase = phase
        self.receive(&command)

    def mass_cancel(self, orders_max: int, account: int = ALL_ACCOUNTS, instrument: int = ALL_INSTRUMENTS, time: int = 0) -> int | None:
        """Cancel at most `orders_max` orders, and the other ones of their pairs: of an account, of an instrument, or of everybody.

        Returns how many were cancelled. If they are fewer than `orders_max`, none is left. O(these + all instruments).
        """
        cdef Command command = command_of(MASS_CANCEL, time, account, instrument)
        command.orders_max = orders_max
        return self.receive(&command)

    def freeze(self, account: int, frozen: bool = True, time: int = 0) -> None:
        """Freeze an account: it can place and replace no orders, and withdraw nothing, until it is frozen no longer."""
        cdef Command command = command_of(FREEZE, time, account)
        command.frozen = frozen
        self.receive(&command)

    def set_limits(self, account: int, orders_max: int = 0, size_max: int = 0, notional_max: int = 0, time: int = 0) -> None:
        """Set the limits of an account (0: none), and nothing else."""
        cdef Command command = command_of(SET_LIMITS, time, account)
        command.orders_max = orders_max
        command.size_max = size_max
        command.notional_max = notional_max
        self.receive(&command)

    def set_tier(self, account: int, tier: int, time: int = 0) -> None:
        """Set the tier of an account, and nothing else."""
        cdef Command command = command_of(SET_TIER, time, account)
        command.tier = tier
        self.receive(&command)

    def pay_fees(self, account: int, asset: int, amount: int, time: int = 0) -> None:
        """Pay `amount` units of the collected fees to an account."""
        cdef Command command = command_of(PAY_FEES, time, account)
        command.asset = asset
        command.amount = amount
        self.receive(&command)

    def delist(self, instrument: int, delisted: bool = True, time: int = 0) -> None:
        """Delist an instrument: it takes no orders any more, and those that it has can only be cancelled. Without orders it can be listed again, and is halted."""
        cdef Command command = command_of(DELIST, time, 0, instrument)
        command.delisted = delisted
        self.receive(&command)

    def set_band(self, instrument: int, band: int, time: int = 0) -> None:
        """Set how far from the reference price orders may be, in parts per million of it; 0: as far as they like. Open orders stay."""
        cdef Command command = command_of(SET_BAND, time, 0, instrument)
        command.band = band
        self.receive(&command)
