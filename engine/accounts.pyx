"""Balances of every account."""

from libc.stdlib cimport free
from libc.string cimport memcpy

from engine.memory cimport doubled, resized
from engine.model cimport ALLOW


cdef void more_touched(Accounts* accounts) noexcept nogil:
    accounts.touched = <TouchedRow*>resized(accounts.touched, accounts.touched_capacity * sizeof(TouchedRow),
                                            doubled(accounts.touched_capacity, 64) * sizeof(TouchedRow))
    accounts.touched_capacity = doubled(accounts.touched_capacity, 64)


cdef void add_account(Accounts* accounts) noexcept nogil:
    cdef uint64_t row = accounts.assets * sizeof(Balance)
    cdef uint32_t wanted
    if accounts.count == accounts.capacity:
        wanted = doubled(accounts.capacity, 16)
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


cdef void add_asset(Accounts* accounts) noexcept nogil:
    """Widen every account's row by one asset. O(accounts * assets)."""
    cdef uint32_t old = accounts.assets
    cdef uint32_t account
    cdef Balance* balance = NULL
    if accounts.capacity:
        balance = <Balance*>resized(NULL, 0, <uint64_t>accounts.capacity * (old + 1) * sizeof(Balance))
        for account in range(accounts.count):
            memcpy(&balance[<uint64_t>account * (old + 1)], &accounts.balance[<uint64_t>account * old], old * sizeof(Balance))
    free(accounts.balance)
    accounts.balance = balance
    accounts.marked = <uint8_t*>resized(accounts.marked, 0, <uint64_t>accounts.capacity * (old + 1)) if accounts.capacity else NULL
    accounts.fees = <int64_t*>resized(accounts.fees, old * sizeof(int64_t), (old + 1) * sizeof(int64_t))
    accounts.supply = <int64_t*>resized(accounts.supply, old * sizeof(int64_t), (old + 1) * sizeof(int64_t))
    accounts.assets = old + 1


cdef void free_accounts(Accounts* accounts) noexcept nogil:
    free(accounts.account)
    free(accounts.limits)
    free(accounts.balance)
    free(accounts.marked)
    free(accounts.fees)
    free(accounts.supply)
    free(accounts.touched)
