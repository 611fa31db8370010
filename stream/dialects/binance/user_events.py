"""What a user data stream says: what happened to an order, and to balances."""

from collections.abc import Iterable

from stream.dialects.binance.own_orders import Fill, Order, OrderList
from stream.dialects.binance.request import stamp
from stream.dialects.binance.symbols import PLACES
from stream.wire.frames import Balance
from stream.wire.scale import Digits

NO_TRADE = -1

Said = dict[str, object]


def execution_report(order: Order, execution: str, now: int, micro: bool, fill: Fill | None = None, cancel: str = "") -> Said:
    """What happened to an order. `cancel` is the id of the request that cancelled it."""
    symbol, ticket = order.symbol, order.ticket
    price, size, money = symbol.price.text, symbol.size.text, symbol.money.text
    said: Said = {
        "e": "executionReport", "E": stamp(now, micro), "s": symbol.name, "c": cancel or ticket.text, "S": order.side, "o": ticket.type,
        "f": ticket.time_in_force, "q": size(order.size), "p": price(order.price), "P": price(order.stop), "F": size(ticket.display), "g": order.list,
        "C": ticket.text if execution == "CANCELED" else "", "x": execution, "X": order.status, "r": "NONE", "i": order.number,
        "l": size(fill.size if fill else 0), "z": size(order.filled), "L": price(fill.price if fill else 0),
        "n": money(fill.fee) if fill else "0", "N": symbol.terms.quote if fill else None, "T": stamp(order.updated, micro),
        "t": fill.trade if fill else NO_TRADE, "I": order.seq, "w": order.open and bool(order.working_since), "m": bool(fill and fill.maker), "M": False,
        "O": stamp(order.created, micro), "Z": money(order.value), "Y": money(fill.value if fill else 0), "Q": money(ticket.quote),
    }
    if order.working_since:
        said["W"] = stamp(order.working_since, micro)
    return said | {"V": ticket.self_trade}


def list_status(list: OrderList, now: int, micro: bool) -> Said:
    """A list has begun, or all of its orders have ended."""
    type, of_orders = list.status
    return {
        "e": "listStatus", "E": stamp(now, micro), "s": list.symbol.name, "g": list.number, "c": "OCO", "l": type, "L": of_orders, "r": "NONE", "C": list.text,
        "T": stamp(max(order.updated for order in list.orders), micro),
        "O": [{"s": order.symbol.name, "i": order.number, "c": order.ticket.text} for order in list.orders],
    }


def money_text(decimals: int, amount: int) -> str:
    """An amount of an asset with so many decimals."""
    return Digits(f"1e-{decimals}", PLACES).text(amount)


def account_position(balances: Iterable[Balance], time: int, now: int, micro: bool) -> Said:
    """The balances that have changed."""
    told = [{"a": each.asset, "f": money_text(each.decimals, each.available), "l": money_text(each.decimals, each.held)} for each in balances]
    return {"e": "outboundAccountPosition", "E": stamp(now, micro), "u": stamp(time, micro), "B": told}


def balance_update(balance: Balance, change: int, time: int, now: int, micro: bool) -> Said:
    """A deposit, or a withdrawal."""
    return {
        "e": "balanceUpdate", "E": stamp(now, micro), "a": balance.asset, "d": money_text(balance.decimals, change), "T": stamp(time, micro),
    }


def terminated(now: int, micro: bool) -> Said:
    """No more comes."""
    return {"e": "eventStreamTerminated", "E": stamp(now, micro)}
