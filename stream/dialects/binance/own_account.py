"""What an account can look at: its orders and fills, open or past, its balances and its limits."""

from collections.abc import Callable, Sequence
from typing import Any

from stream.account_history.database import Wanted
from stream.account_history.facts import FillFact, OrderFact
from stream.account_history.recorder import Page, Question
from stream.dialects.binance.errors import BAD_COMBINATION, BAD_PARAMETER, NO_ORDER, ApiError
from stream.dialects.binance.exchange_info import order_limits
from stream.dialects.binance.fees import commission, rates_of
from stream.dialects.binance.market_requests import MILLISECOND
from stream.dialects.binance.own_orders import Order, past_trade
from stream.dialects.binance.signed_requests import Act, Call
from stream.dialects.binance.tickets import number_of
from stream.dialects.binance.user_events import money_text
from stream.feed.hub import Refused
from stream.wire.channels import TRADE_SCOPE
from stream.wire.codes import ErrorCode
from stream.wire.messages import Error

ORDERS_MAX = 1000
ID_MAX = (1 << 63) - 1
OF_A_TRADE = 2
"""A trade's fills: the events of the maker and of the taker come right behind it."""


def read_history(call: Call, trades: bool, wanted: Wanted, then: Callable[[Any], None]) -> None:
    """Have a page of the account's history read, and do something with it."""

    def answered(found: Page | ErrorCode) -> None:
        if isinstance(found, ErrorCode):
            raise call.refused(Error(0, found, found.text))
        then(found)

    guarded = call.guard(answered)
    try:
        call.trader.read_history(Question(trades, wanted, lambda found, since: guarded(found)))
    except Refused as refused:
        raise call.refused(Error(0, refused.code, refused.text)) from None


def id_in(call: Call, name: str) -> int | None:
    """An id that may be there."""
    id = call.asked.parameters.number(name)
    if id is not None and id > ID_MAX:
        raise ApiError(BAD_PARAMETER, name)
    return id


def order_status(call: Call) -> Act:
    """GET order."""
    symbol, (number, text) = call.asked.symbol, call.order_named()

    def then(found: Sequence[OrderFact]) -> None:
        orders = [Order.of_past(symbol, fact, call.reader.self_trade) for fact in found if fact.instrument == symbol.index]
        named = [order for order in orders if number in (None, order.number) and text in (None, order.ticket.text)]
        if not named:
            raise ApiError(NO_ORDER)
        call.say(named[0].fields(call.asked.micro))

    def act() -> None:
        account = call.trader.account
        wanted = Wanted(account, latest=True, size=1, client_id=number_of(text or ""))
        if number is not None:
            wanted = Wanted(account, after=max(0, number - 1), size=1)
        read_history(call, False, wanted, then)

    return act


def open_orders(call: Call) -> Act:
    """GET openOrders."""
    symbol = call.asked.optional_symbol

    def act() -> None:
        found = [order for order in call.trader.orders.open.values() if symbol in (None, order.symbol)]
        call.say([order.fields(call.asked.micro) for order in sorted(found, key=lambda order: order.number)])

    return act


def window(call: Call) -> tuple[int | None, int, int]:
    """From when on, before when (0: no end), and how many."""
    begin, end, limit = call.asked.time("startTime"), call.asked.time("endTime"), call.asked.limit(500, ORDERS_MAX)
    if begin is not None and end is not None and begin > end:
        raise ApiError(BAD_COMBINATION)
    return begin, 0 if end is None else end + MILLISECOND, limit


def all_orders(call: Call) -> Act:
    """GET allOrders."""
    symbol, first, (begin, until, limit) = call.asked.symbol, id_in(call, "orderId"), window(call)
    latest = first is None and begin is None

    def act() -> None:
        wanted = Wanted(call.trader.account, symbol.index, max(0, (first or 0) - 1), 0, begin or 0, until, latest, limit)
        read_history(call, False, wanted, lambda found: call.say([
            Order.of_past(symbol, fact, call.reader.self_trade).fields(call.asked.micro) for fact in found
        ]))

    return act


def my_trades(call: Call) -> Act:
    """GET myTrades."""
    symbol, number, first = call.asked.symbol, id_in(call, "orderId"), id_in(call, "fromId")
    begin, until, limit = window(call)
    latest = first is None and begin is None

    def then(found: Sequence[FillFact]) -> None:
        named = [fact for fact in found if fact.trade >= (first or 0)]
        call.say([past_trade(symbol, fact, call.asked.micro) for fact in (named[-limit:] if latest else named[:limit])])

    def act() -> None:
        account, size = call.trader.account, limit + OF_A_TRADE - 1    # the fills behind a trade's id may begin with one of the trade before
        read_history(call, True, Wanted(account, symbol.index, first or 0, number or 0, begin or 0, until, latest, size), then)

    return act


def account_commission(call: Call) -> Act:
    """GET account/commission."""
    symbol = call.asked.symbol
    return lambda: call.say(commission(symbol))


def account(call: Call) -> Act:
    """GET account."""
    nonzero = call.asked.parameters.optional("omitZeroBalances", "^(true|false)$") == "true"

    def act() -> None:
        trader = call.trader
        symbols = call.asked.data.symbols.all
        decimals = {terms.base: terms.base_decimals for terms in (each.terms for each in symbols)}
        decimals |= {terms.quote: terms.quote_decimals for terms in (each.terms for each in symbols)}
        held = {name: (each.available, each.held) for name, each in trader.balances.items()}
        decimals |= {name: each.decimals for name, each in trader.balances.items()}
        balances = [
            {"asset": name, "free": money_text(places, free), "locked": money_text(places, locked)}
            for name, places in sorted(decimals.items()) for free, locked in [held.get(name, (0, 0))] if free or locked or not nonzero
        ]
        rates = rates_of(symbols[0]) if symbols else dict.fromkeys(("maker", "taker", "buyer", "seller"), "0.00000000")
        maker, taker = (symbols[0].terms.maker_fee // 100, symbols[0].terms.taker_fee // 100) if symbols else (0, 0)
        trades = TRADE_SCOPE in trader.claims.scopes
        call.say({
            "makerCommission": maker, "takerCommission": taker, "buyerCommission": 0, "sellerCommission": 0, "commissionRates": rates,
            "canTrade": trades, "canWithdraw": False, "canDeposit": False, "brokered": False, "requireSelfTradePrevention": False, "preventSor": False,
            "updateTime": call.asked.stamp(trader.updated), "accountType": "SPOT", "balances": balances, "permissions": ["SPOT"], "uid": trader.account,
        })

    return act


def order_counts(call: Call) -> Act:
    """GET rateLimit/order."""
    def act() -> None:
        counts = call.counts.read(call.trader.account, call.now).values()
        call.say([limit | {"count": count} for limit, count in zip(order_limits(call.asked.config), counts, strict=True)])

    return act


def trade_fees(call: Call) -> Act:
    """GET /sapi/v1/asset/tradeFee."""
    symbol = call.asked.optional_symbol
    symbols = [symbol] if symbol else call.asked.data.symbols.all
    rates = [(each.name, rates_of(each)) for each in symbols]
    return lambda: call.say([{"symbol": name, "makerCommission": rate["maker"], "takerCommission": rate["taker"]} for name, rate in rates])


def coins(call: Call) -> Act:
    """GET /sapi/v1/capital/config/getall: the assets. Nothing can be brought in or taken out in this way, so they have no networks."""
    def act() -> None:
        names = sorted({name for each in call.asked.data.symbols.all for name in (each.terms.base, each.terms.quote)})
        held = call.trader.balances
        told = []
        for name in names:
            balance = held.get(name)
            told.append({
                "coin": name, "name": name, "depositAllEnable": False, "withdrawAllEnable": False, "trading": True, "isLegalMoney": False,
                "free": money_text(balance.decimals, balance.available) if balance else "0",
                "locked": money_text(balance.decimals, balance.held) if balance else "0",
                "freeze": "0", "withdrawing": "0", "ipoing": "0", "ipoable": "0", "storage": "0", "networkList": [],
            })
        call.say(told)

    return act


def nothing(call: Call) -> Act:
    """A list of what there is none of."""
    call.asked.optional_symbol    # noqa: B018
    for name in ("startTime", "endTime", "limit", "fromId"):
        call.asked.parameters.number(name)
    return lambda: call.say([])
