"""Too little memory, two threads, buffers that change, and client ids that were chosen to collide."""

import subprocess
import sys
import threading
from decimal import Decimal

import pytest

from engine import Busy, Commands, Exchange, Instrument, Rejected, Side


def market(accounts: int = 4, key: int = 0) -> Exchange:
    exchange = Exchange(key=key)
    exchange.add_asset("BTC", 0)
    exchange.add_asset("USD", 0)
    exchange.add_instrument(Instrument("BTC-USD", "BTC", "USD", Decimal(1), Decimal(1)))
    for account in range(accounts):
        exchange.open_account()
        for asset in range(2):
            exchange.deposit(account, asset, 10**15)
    return exchange


# Memory

SCARCE = """
import resource
from engine import Commands, Exchange, Instrument
exchange = Exchange(orders_max=1_000)
exchange.add_asset("USD", 0)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), used + (64 << 20)))
try:
    {what}
except MemoryError as error:
    print("MemoryError", error)
exchange.check()
exchange.open_account()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of the address space is Linux's")
@pytest.mark.parametrize("what", [
    "Exchange(orders_max=1 << 23)",
    "Exchange(client_ids_max=(1 << 32) - 1)",
    "Commands().extend(bytes(88) * 300_000); Commands().extend(bytes(88) * 600_000)",
    "[exchange.open_account() for _ in range(20_000)]; [exchange.add_asset(str(number)) for number in range(1_000)]",
])
def test_too_little_memory_is_a_memory_error(what: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCARCE.format(what=what)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith("MemoryError")


@pytest.mark.parametrize(("name", "most"), [
    ("orders_max", (1 << 24) - 2), ("accounts_max", (1 << 32) - 1), ("tombstones", (1 << 31) - 1), ("client_ids_max", (1 << 32) - 1), ("key", (1 << 128) - 1),
])
def test_what_an_exchange_may_be_made_for(name: str, most: int) -> None:
    for number in (-1, most + 1):
        with pytest.raises(ValueError, match=f"{name} {number}: expected"):
            Exchange(**{name: number})
    if name != "client_ids_max":    # whose room is 100 GB then
        Exchange(**{name: most})


# Threads


def test_a_second_thread_is_told_and_changes_nothing() -> None:
    """Whatever touches the state, while another thread is in a long call."""
    exchange = market()
    book = exchange.books[0]
    commands = Commands()
    for number in range(300_000):
        commands.place(number % 4, 0, number % 2, 1_000 + number % 50 * (1 if number % 2 else -1), 1)
    calls = [
        lambda: exchange.place(0, 0, Side.BUY, 1, 1), lambda: exchange.execute(b""), lambda: exchange.balances(0), lambda: exchange.orders(0),
        exchange.snapshot, exchange.state_hash, exchange.check, lambda: exchange.seq, lambda: exchange.order_count, lambda: len(exchange.events),
        lambda: exchange.events[-1] if len(exchange.events) else None, lambda: list(exchange.events),
        lambda: memoryview(exchange.events), lambda: exchange.events.select(1),
        lambda: exchange.add_asset("ETH"), lambda: exchange.open_account(), lambda: book.queue(0, 1), lambda: book.last, book.indicative,
        book.levels.depth, lambda: book.levels.changes_since(0), lambda: book.levels.best_bid, lambda: len(book.levels), lambda: exchange.deposit(0, 0, 1),
        lambda: exchange.next_expiry, lambda: exchange.clock, lambda: exchange.accounts, lambda: exchange.fees(0), lambda: exchange.supply(0),
        lambda: exchange.order(1), lambda: exchange.events.batches, lambda: exchange.events.instruments(1), lambda: exchange.advance(1),
    ]
    refused: set[int] = set()
    ended = threading.Event()

    def run() -> None:
        for _ in range(4):
            exchange.execute(commands)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    while not ended.is_set():
        for index, call in enumerate(calls):
            try:
                call()
            except Busy:
                refused.add(index)
            except Rejected:
                pass
    thread.join()
    assert len(refused) > len(calls) // 2       # which ones is a matter of when the thread is between two calls
    exchange.check()


def test_threads_that_try_again_leave_one_state() -> None:
    exchange = market()

    def run(account: int) -> None:
        commands = Commands()
        for number in range(500):
            commands.place(account, 0, account % 2, 1_000 + number % 50 * (1 if account % 2 else -1), 1)
        done = 0
        while done < 20:
            try:
                exchange.execute(commands)
                done += 1
            except Busy:
                pass

    threads = [threading.Thread(target=run, args=(account,)) for account in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exchange.check()


def test_a_buffer_that_changes_meanwhile_does_not_matter() -> None:
    """One thread runs a buffer while another one writes accounts into it that do not exist."""
    exchange = market()
    commands = Commands()
    for number in range(20_000):
        commands.place(number % 4, 0, number % 2, 1_000 + number % 50, 1)
    buffer = bytearray(bytes(commands))
    ended = threading.Event()

    def change() -> None:
        accounts = bytes([0xFF] * 4), bytes(4)
        while not ended.is_set():
            for row in range(0, len(buffer), 88 * 97):
                buffer[row + 72 : row + 76] = accounts[row & 1]

    thread = threading.Thread(target=change)
    thread.start()
    for view in (buffer, memoryview(buffer), memoryview(buffer).toreadonly()):
        for _ in range(3):
            exchange.execute(view)
    ended.set()
    thread.join()
    exchange.check()


# Client ids


def test_the_key_decides_nothing_but_where_a_client_id_lies() -> None:
    exchanges = [market(key=key) for key in (0, 1, (1 << 128) - 1)]
    for exchange in exchanges:
        for number in range(1, 300):
            exchange.place(number % 4, 0, Side.BUY, number, 1, client_id=number // 2 + 1)
            if number % 3:
                exchange.cancel(number % 4, client_id=number // 2 + 1)
    assert len({exchange.state_hash() for exchange in exchanges}) == 1
    for exchange in exchanges:
        again = Exchange.restore(exchange.snapshot())
        assert again.snapshot() == exchange.snapshot()
        for number in range(1, 150):
            for account in range(4):
                assert cancels(again, account, number) == cancels(exchange, account, number)


def cancels(exchange: Exchange, account: int, client_id: int) -> bool:
    try:
        exchange.cancel(account, client_id=client_id)
    except Rejected:
        return False
    return True
