"""Balances of every account, in units of each asset: what is available, and what open orders hold."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef struct Balance:            # 16 bytes
    int64_t available
    int64_t held


cdef struct Account:            # 16 bytes
    uint32_t earliest           # its open orders, in the order of acceptance
    uint32_t latest
    uint32_t open               # how many they are
    uint8_t tier
    uint8_t self_trade
    uint8_t grouped             # whether its Limits name a group
    uint8_t limited             # whether they limit anything, or freeze it


cdef struct Limits:             # what SET_ACCOUNT, SET_LIMITS and FREEZE say; 0: none
    uint32_t group
    uint32_t orders_max
    int64_t size_max
    int64_t notional_max
    uint8_t frozen              # whether it may place nothing and withdraw nothing


cdef struct TouchedRow:
    uint64_t row
    uint32_t account
    uint32_t asset


cdef struct Accounts:
    Account* account
    Limits* limits              # by account, as far as it was needed
    uint32_t limits_capacity
    Balance* balance            # row account * assets + asset
    int64_t* fees               # for each asset, what has been collected
    int64_t* supply             # for each asset, deposits less withdrawals
    uint32_t count
    uint32_t capacity
    uint32_t count_max
    uint32_t assets
    TouchedRow* touched         # rows that the running command touched, in order
    uint32_t touched_count
    uint32_t touched_capacity
    uint8_t* marked             # for each row, whether it is among those


cdef void more_touched(Accounts* accounts) noexcept nogil
cdef void add_account(Accounts* accounts) noexcept nogil
cdef int add_asset(Accounts* accounts) except -1
cdef void note_limits(Accounts* accounts, uint32_t account) noexcept nogil
cdef Limits* new_limits(Accounts* accounts, uint32_t account) noexcept nogil
cdef void free_accounts(Accounts* accounts) noexcept nogil


cdef inline bint same_owner(Accounts* accounts, uint32_t a, uint32_t b) noexcept nogil:
    """Whether orders of both must not trade with each other."""
    if a == b:
        return True
    return accounts.account[a].grouped and accounts.account[b].grouped and accounts.limits[a].group == accounts.limits[b].group


cdef inline Balance* balance_of(Accounts* accounts, uint32_t account, uint32_t asset) noexcept nogil:
    return &accounts.balance[<uint64_t>account * accounts.assets + asset]


cdef inline Balance* touch(Accounts* accounts, uint32_t account, uint32_t asset) noexcept nogil:
    """The balance, noted as touched by the running command. The pointer holds until an account or asset is added."""
    cdef uint64_t row = <uint64_t>account * accounts.assets + asset
    if not accounts.marked[row]:
        accounts.marked[row] = 1
        if accounts.touched_count == accounts.touched_capacity:
            more_touched(accounts)
        accounts.touched[accounts.touched_count].row = row
        accounts.touched[accounts.touched_count].account = account
        accounts.touched[accounts.touched_count].asset = asset
        accounts.touched_count += 1
    return &accounts.balance[row]
