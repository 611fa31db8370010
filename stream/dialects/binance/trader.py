"""Who trades through the dialect: an API key, and a session of the venue that speaks for it.

Requests become messages of the native protocol, so they meet the same checks, limits and journal; what the session is told becomes answers and events.
"""

from collections.abc import Callable
from typing import Any, Protocol

from stream.access.claims import Claims
from stream.account_history.recorder import Question
from stream.commands.directory import Directory, DirectoryKey, OrderTicket, Value
from stream.dialects.binance import user_events
from stream.dialects.binance.own_orders import NO_LIST, Fill, Order, Orders, status_of
from stream.dialects.binance.symbols import MarketData
from stream.dialects.binance.tickets import Ticket, encode_ticket, find_ticket, number_of
from stream.dialects.binance.user_events import Said
from stream.venue.session import Session
from stream.wire import frames
from stream.wire.channels import BALANCES, ORDERS
from stream.wire.codec import MSGPACK, Codec
from stream.wire.framing import BINARY, frames_in, payload_of
from stream.wire.messages import AllCancelled, Error, Place, Subscribe

SUBSCRIPTION = 1
"""The id of the request for the own channels."""

Then = Callable[[Any], None]
"""Called with the answer to a request: a message of the native protocol; None if nobody knows what became of it."""


class CommandPath(Protocol):
    """Where a market has something remembered."""

    def remember(self, key: DirectoryKey, value: Value | None) -> None:
        """Keep a value in the directory."""
        ...


class TradingVenue(Protocol):
    """What is needed of a venue."""

    @property
    def directory(self) -> Directory:
        """What is remembered beside the exchange's state."""
        ...

    @property
    def low(self) -> bool:
        """Whether the disk is nearly full."""
        ...

    @property
    def failure(self) -> str:
        """Why no request can be carried out any more."""
        ...

    def read_history(self, question: Question) -> None:
        """Have a page of the history read. Raises Refused if there is none."""
        ...

    def connect(self, codec: Codec, now: int, address: str = "") -> Session:
        """A new session."""
        ...

    def disconnect(self, session: Session, now: int) -> None:
        """A session has ended."""
        ...


class UserStream(Protocol):
    """A connection that listens to a trader."""

    micro: bool

    def tell(self, said: Said) -> None:
        """Send an event."""
        ...

    def terminate(self, now: int) -> None:
        """No more comes."""
        ...


class Trader:
    """One API key that is in use. It knows the account's orders and balances as they were last told, and is `ready` once it does."""

    def __init__(self, venue: TradingVenue, path: CommandPath | None, data: MarketData, claims: Claims, address: str, self_trade: str, now: int) -> None:
        """`path` is None where nothing can be placed."""
        self.claims = claims
        self.orders = Orders()
        self.balances: dict[str, frames.Balance] = {}
        self.listeners: dict[UserStream, None] = {}
        self.used_at = now
        self.ready = False
        self.refusal: Error | None = None    # why it cannot be ready
        self.updated = 0
        self._venue = venue
        self._path = path
        self._data = data
        self._self_trade = self_trade
        self._position = -1
        self._last_id = SUBSCRIPTION
        self._waiting: list[Callable[[], None]] = []
        self._asked: dict[int, Then] = {}
        self._due: list[tuple[int, Then, Any]] = []    # what waits for the events up to a sequence
        self._placing: set[int] = set()    # client ids of orders that are under way
        self._cancelling: dict[int, str] = {}    # the ids of requests that cancel, by order
        self._known: set[str] = set()    # the channels that have come
        self._said: list[dict[bool, Said]] = []
        self._changed: dict[str, frames.Balance] = {}
        self._moved: dict[str, int] = {}    # by asset, how a total has changed other than by fills
        self.session = venue.connect(MSGPACK, now, address)
        self.session.begin(now, claims)
        self.session.receive(MSGPACK.encode(Subscribe(SUBSCRIPTION, [ORDERS, BALANCES])), now, "")

    @property
    def account(self) -> int:
        """Its account."""
        return self.session.account

    @property
    def closed(self) -> bool:
        """Whether the venue takes no more from it."""
        return self.session.closed is not None

    # Asking

    def when_ready(self, act: Callable[[], None]) -> None:
        """Do something once the account's orders and balances are known. It has to find out whether they are."""
        if self.ready or self.closed or self.refusal:
            act()
        else:
            self._waiting.append(act)

    def ask(self, kind: type[Any], *fields: Any, now: int, then: Then, **named: Any) -> None:
        """Send a request of the native protocol. `then` is called when its answer is there, and everything that it led to is known."""
        self._last_id += 1
        self._asked[self._last_id] = then
        self.session.heard_at = now
        self.session.receive(MSGPACK.encode(kind(self._last_id, *fields, **named)), now, "")

    def place(self, ticket: Ticket, fields: dict[str, Any], now: int, then: Then) -> bool:
        """Place an order, and have its ticket remembered with it. False if its client's id names an order that is open or under way."""
        number = number_of(ticket.text)
        open = self.orders.find(None, ticket.text)
        if number in self._placing or (open and open.open):
            return False
        key = OrderTicket(self.account, number)
        path = None if self._venue.low or self._venue.failure else self._path
        if path:
            path.remember(key, encode_ticket(ticket))
        self._placing.add(number)

        def placed(answer: Any) -> None:
            self._placing.discard(number)
            if path and isinstance(answer, Error):
                path.remember(key, None)
            then(answer)

        self.ask(Place, client_id=number, now=now, then=placed, **fields)
        return True

    def read_history(self, question: Question) -> None:
        """Have a page of the account's history read. Raises Refused if there is none."""
        self._venue.read_history(question)

    def cancelling(self, order: int, text: str) -> None:
        """Note the id of a request that cancels an order."""
        self._cancelling[order] = text

    # Being told

    def read(self, now: int) -> None:
        """Take in what the session was told, tell those who listen, and answer what can be answered."""
        while self.session.out:
            for frame in frames_in(self.session.take_out()):
                if frame[0] & 0x0F == BINARY:
                    self._take(MSGPACK.decode_answer(payload_of(frame)), now)
        self._tell(now)
        if self.ready or self.closed or self.refusal:
            waiting, self._waiting = self._waiting, []
            for act in waiting:
                act()
        due, self._due = self._due, []
        for each in due:
            if each[0] <= self._position:
                each[1](each[2])
            else:
                self._due.append(each)

    def end(self, now: int) -> None:
        """It is over: nobody knows what becomes of what is under way, and nothing more is told."""
        asked, self._asked = self._asked, {}
        for then in [*asked.values(), *(each[1] for each in self._due)]:
            then(None)
        self._due = []
        for act in self._waiting:
            act()
        self._waiting = []
        for listener in list(self.listeners):
            listener.terminate(now)

    def _take(self, message: Any, now: int) -> None:
        match message:
            case frames.Orders():
                self._take_orders(message)
            case frames.Balances():
                self._take_balances(message)
            case Error(id=id) if id <= SUBSCRIPTION:
                self.refusal = message
            case Error():
                then = self._asked.pop(message.id, None)
                if then:
                    then(message)
            case _:
                then = self._asked.pop(getattr(message, "id", 0), None)
                if then:
                    nothing = isinstance(message, AllCancelled) and not message.count    # no event tells of it
                    self._due.append((self._position if nothing else message.seq, then, message))

    def _take_orders(self, frame: frames.Orders) -> None:
        if frame.prev is None:
            known, self.orders = self.orders.open, Orders()    # whatever has ended meanwhile is in the history
            for update in frame.orders:
                order = known.get(update.order) or self._new(update)
                order.take(update)
                order.status = "PARTIALLY_FILLED" if order.filled else "NEW"
                self.orders.add(order)
            self._forget_tickets()
            self._begin(ORDERS, frame.server_time)
        for update in frame.orders if frame.prev is not None else ():
            self._update(update, frame.server_time)
        self._position = frame.seq

    def _take_balances(self, frame: frames.Balances) -> None:
        self.updated = frame.server_time
        if frame.prev is None:
            self.balances = {each.asset: each for each in frame.balances}
            self._begin(BALANCES, frame.server_time)
            return
        for balance in frame.balances:
            before = self.balances.get(balance.asset)
            self._move(balance.asset, balance.available + balance.held - (before.available + before.held if before else 0))
            self.balances[balance.asset] = self._changed[balance.asset] = balance

    def _begin(self, channel: str, now: int) -> None:
        """All that there is of a channel has come. If that is not for the first time something was missed: who listens has to ask again."""
        if channel in self._known:
            for listener in list(self.listeners):
                listener.terminate(now)
        self._known.add(channel)
        self.ready = len(self._known) == len((ORDERS, BALANCES))

    def _new(self, update: frames.OrderUpdate) -> Order:
        return Order(self._data.symbols.of[update.instrument], update, find_ticket(self._venue.directory, self.account, update.client_id), self._self_trade)

    def _update(self, update: frames.OrderUpdate, now: int) -> None:
        order = self.orders.open.get(update.order)
        if order is None:
            order = self._new(update)
            self.orders.add(order)
            if update.event == "accepted":
                self._report(order, "NEW", now)
                if order.ticket.list:
                    self._tell_list(order, now)
                return
        value, filled = order.value, order.filled
        order.take(update)
        match update.event:
            case "filled":
                order.status = status_of(update.event, "", order.filled, order.remaining)
                fill = self._fill(order, update, order.value - value, order.filled - filled)
                self._report(order, "TRADE", now, fill)
            case "cancelled":
                order.status = status_of(update.event, update.reason, order.filled, order.remaining)
                execution = "CANCELED" if update.reason == "requested" else "EXPIRED"
                self._report(order, execution, now, cancel=self._cancelling.pop(order.number, ""))
            case "reduced" if update.reason:
                self._report(order, "TRADE_PREVENTION", now)
            case "reduced" | "replaced":
                order.size = order.filled + order.remaining
                self._report(order, "REPLACED", now)
            case "triggered":
                order.working_since = update.time
                self._report(order, "NEW", now)
        if not order.open:
            self.orders.end(order)
            self._forget_ticket(number_of(order.ticket.text))
            if order.list != NO_LIST:
                self._tell_list(order, now)

    def _tell_list(self, order: Order, now: int) -> None:
        """Tell that the list of an order has begun, when its second one is there, or that it is over, when both have ended."""
        list = self.orders.find_list(order.list, None)
        if list and len(list.orders) > 1 and list.open == order.open:
            self._say(lambda micro: user_events.list_status(list, now, micro))

    def _fill(self, order: Order, update: frames.OrderUpdate, value: int, size: int) -> Fill:
        maker = update.liquidity == "maker"
        fill = Fill(update.seq - (1 if maker else 2), order, update.fill_price, update.fill_size, value, update.fee, maker, update.time)
        order.fills.append(fill)
        sign, terms = (1 if order.side == "BUY" else -1), order.symbol.terms
        self._move(terms.base, -sign * size * order.symbol.lot_units)
        self._move(terms.quote, sign * value + update.fee)
        return fill

    def _move(self, asset: str, amount: int) -> None:
        self._moved[asset] = self._moved.get(asset, 0) + amount

    def _forget_ticket(self, number: int) -> None:
        key = OrderTicket(self.account, number)
        if self._path and key in self._venue.directory:
            self._path.remember(key, None)

    def _forget_tickets(self) -> None:
        """Have the tickets of orders forgotten that ended while nobody looked. O(the directory)."""
        kept = {number_of(order.ticket.text) for order in self.orders.open.values()} | self._placing
        for key in [key for key in self._venue.directory if isinstance(key, OrderTicket) and key.account == self.account]:
            if key.client_id not in kept:
                self._forget_ticket(key.client_id)

    # Telling

    def _say(self, make: Callable[[bool], Said]) -> None:
        """Tell those who listen something, as it is now."""
        if self.listeners:
            self._said.append({micro: make(micro) for micro in {listener.micro for listener in self.listeners}})

    def _report(self, order: Order, execution: str, now: int, fill: Fill | None = None, cancel: str = "") -> None:
        self._say(lambda micro: user_events.execution_report(order, execution, now, micro, fill, cancel))

    def _tell(self, now: int) -> None:
        """Tell the orders' events, then the balances, and what came into the account or left it."""
        changed, self._changed = self._changed, {}
        moved, self._moved = self._moved, {}
        if changed:
            self._say(lambda micro: user_events.account_position(changed.values(), self.updated, now, micro))
        for asset, balance in changed.items():
            if moved.get(asset):
                self._say(lambda micro, each=balance, change=moved[asset]: user_events.balance_update(each, change, self.updated, now, micro))    # type: ignore[misc]
        said, self._said = self._said, []
        for each in said:
            for listener in list(self.listeners):
                if listener.micro in each:
                    listener.tell(each[listener.micro])
