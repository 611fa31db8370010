"""The twin's phases and auctions. See `oracle_exchange`."""

from engine import EventKind, Phase, SelfTrade, Side
from tests.engine.oracle_matching import Matching
from tests.engine.oracle_model import Order


class Auctions(Matching):
    """Every price that a limit names is tried."""

    def volume_and_surplus(self, instrument: int, price: int) -> tuple[int, int]:
        """Lots that could trade at a price, and those left over: above 0 of bids, below 0 of asks."""
        bids = sum(order.remaining for order in self.resting(instrument, Side.BUY) if order.price >= price)
        asks = sum(order.remaining for order in self.resting(instrument, Side.SELL) if order.price <= price)
        return min(bids, asks), bids - asks

    def uncrossing(self, instrument: int) -> tuple[int, int]:
        """Price and volume; (0, 0) if nothing can trade."""
        terms = self.terms[instrument]
        limits = {order.price for side in Side for order in self.resting(instrument, side)}
        found = {price: self.volume_and_surplus(instrument, price) for price in limits}
        best = max(((volume, -abs(surplus)) for volume, surplus in found.values()), default=(0, 0))
        if best[0] == 0:
            return 0, 0
        prices = sorted(price for price, (volume, surplus) in found.items() if (volume, -abs(surplus)) == best)
        if all(found[price][1] > 0 for price in prices):
            return prices[-1], best[0]
        if all(found[price][1] < 0 for price in prices):
            return prices[0], best[0]
        reference = terms.reference or terms.last or (prices[0] + prices[-1]) // 2
        return min(max(reference, prices[0]), prices[-1]), best[0]

    def meet(self, bid: Order, ask: Order, price: int) -> None:
        maker, taker = sorted((bid, ask), key=lambda order: order.number)
        if taker.self_trade != SelfTrade.ALLOW and self.one_owner(bid.account, ask.account):
            self.prevent(taker, maker, newest=taker, oldest=maker, mode=taker.self_trade)
        else:
            self.trade(taker, maker, price)

    def uncross(self, instrument: int) -> None:
        price = self.uncrossing(instrument)[0]
        while True:
            bids, asks = (self.resting(instrument, side) for side in Side)
            if not bids or not asks or bids[0].price < asks[0].price:
                return
            price = min(max(price, asks[0].price), bids[0].price)
            self.meet(bids[0], asks[0], price)

    def enter_phase(self, instrument: int, phase: Phase) -> None:
        terms = self.terms[instrument]
        uncrosses = phase == Phase.TRADING and terms.collecting
        price, volume = self.uncrossing(instrument) if uncrosses else (0, 0)
        terms.phase = phase
        self.tell(EventKind.PHASE, instrument=instrument, phase=phase, price=price, size=volume)
        if phase == Phase.AUCTION and not terms.collecting:
            self.touch_all(instrument)
            terms.collecting = True
        elif uncrosses:
            self.uncross(instrument)
            terms.collecting = False
            self.touch_all(instrument)
            self.run_triggered()

    def touch_all(self, instrument: int) -> None:
        """Bids and then asks, from the best on."""
        for side in Side:
            for order in self.resting(instrument, side):
                self.touch_level(order)
