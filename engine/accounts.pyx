"""Balances of every account."""

from libc.stdlib cimport free
from libc.string cimport memcpy

from engine.memory cimport doubled, grown, resized
from engine.model cimport ALLOW
from engine.thresholds cimport ACCOUNTS, TOUCHED_BALANCES


cdef void more_touched(Accounts* accounts) noexcept nogil:
    accounts.touched = <TouchedRow*>resized(accounts.touched, accounts.touched_capacity * sizeof(TouchedRow),
                                            doubled(accounts.touched_capacity, TOUCHED_BALANCES) * sizeof(TouchedRow))
    accounts.touched_capacity = doubled(accounts.touched_capacity, TOUCHED_BALANCES)


cdef void add_account(Accounts* accounts) noexcept nogil:
    cdef uint64_t row = accounts.assets * sizeof(Balance)
    cdef uint32_t wanted
    if accounts.count == accounts.capacity:
        wanted = doubled(accounts.capacity, ACCOUNTS)
        accounts.account = <Account*>resized(accounts.account, accounts.capacity * sizeof(Account), wanted * sizeof(Account))
        if row:
            accounts.balance = <Balance*>resized(accounts.balance, accounts.capacity * row, wanted * row)
            accounts.marked = <uint8_t*>resized(accounts.marked, <uint64_t>accounts.capacity * accounts.assets, <uint64_t>wanted * accounts.assets)
        accounts.capacity = wanted
    accounts.account[accounts.count].self_trade = ALLOW
    accounts.count += 1


cdef Limits* new_limits(Accounts* accounts, uint32_t account) noexcept nogil:
    """Room for what limits an account; 0 if it had none."""
    if account >= accounts.limits_capacity:
        accounts.limits = <Limits*>resized(accounts.limits, accounts.limits_capacity * sizeof(Limits), accounts.capacity * sizeof(Limits))
        accounts.limits_capacity = accounts.capacity
    return &accounts.limits[account]


cdef void note_limits(Accounts* accounts, uint32_t account) noexcept nogil:
    """Note in an account what its Limits say, so that the others need not look there."""
    cdef Limits* limits = &accounts.limits[account]
    accounts.account[account].grouped = limits.group != 0
    accounts.account[account].limited = (
        limits.orders_max != 0 or limits.size_max != 0 or limits.notional_max != 0 or limits.frozen != 0)


cdef int add_asset(Accounts* accounts) except -1:
    """Widen every account's row by one asset. O(accounts * assets). Without enough memory it raises MemoryError, and nothing has changed."""
    cdef uint32_t old = accounts.assets
    cdef uint32_t account
    cdef uint64_t rows = <uint64_t>accounts.capacity * (old + 1)
    cdef Balance* balance = NULL
    accounts.fees = <int64_t*>grown(accounts.fees, old * sizeof(int64_t), (old + 1) * sizeof(int64_t))
    accounts.supply = <int64_t*>grown(accounts.supply, old * sizeof(int64_t), (old + 1) * sizeof(int64_t))
    if rows:
        accounts.marked = <uint8_t*>grown(accounts.marked, 0, rows)
        balance = <Balance*>grown(NULL, 0, rows * sizeof(Balance))
        for account in range(accounts.count):
            memcpy(&balance[<uint64_t>account * (old + 1)], &accounts.balance[<uint64_t>account * old], old * sizeof(Balance))
    free(accounts.balance)
    accounts.balance = balance
    accounts.assets = old + 1
    return 0


cdef void free_accounts(Accounts* accounts) noexcept nogil:
    free(accounts.account)
    free(accounts.limits)
    free(accounts.balance)
    free(accounts.marked)
    free(accounts.fees)
    free(accounts.supply)
    free(accounts.touched)
