"""The page in a real Chromium: the book is the server's, orders go by mouse and by keyboard, and it recovers from what is done to it."""

import asyncio
import json
import os
from itertools import product
from typing import Any

import uvloop

from stream.access.revocations import Revocation
from stream.server.market_server import MarketServer
from stream.sources.simulated import SimulatedSource
from stream.wire.codes import CloseCode
from tests.client.test_client import trader
from tests.setting import token
from tests.sockets import relaying, run, serving
from tests.vector_files import FOLDER
from tests.waiting import until
from tests.web.browser import needs_browser, showing

pytestmark = needs_browser

SECONDS = int(os.environ.get("DELTABOOK_SECONDS", "3"))
"""How long the page is looked at while much happens."""

CHANGES_PER_S, FRAMES_PER_S = (1000, 50) if "DELTABOOK_SECONDS" in os.environ else (200, 10)
"""What it has to bear when it is alone on the machine, and when other tests run beside it."""


async def sign_in(page: Any, server: MarketServer, subject: str = "alice") -> None:
    """Sign in on the page."""
    await page.fill("#token", token(subject, server.clock.now(), "market account trade"))
    await page.click("#sign-in button")
    await page.wait_for_selector("#order:not([hidden])")


async def until_on(page: Any, holds: str) -> None:
    """Wait until an expression holds; the page's policy does not allow to have it evaluated there again and again."""
    seen = None
    try:
        async with asyncio.timeout(8):
            while not (seen := await page.evaluate(holds)):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited 8 s for `{holds}`, which was {seen!r}") from None


async def shows(page: Any, side: str, *expected: tuple[str, str]) -> None:
    """Wait until a side of the ladder shows these prices and sizes, best first."""
    script = f"[...document.querySelectorAll('#{side} .row')].map((row) => [row.children[1].textContent, row.children[2].textContent])"
    await until_on(page, f"JSON.stringify({script}) === '{json.dumps(expected, separators=(',', ':'))}'")


@run
async def test_the_book_on_the_page_is_the_servers() -> None:
    async with serving() as server, trader(server) as alice, showing(server) as page:
        await alice.place("BTC-USD", "buy", "600.05", "0.001")
        await alice.place("BTC-USD", "buy", "600.10", "0.5")
        await alice.place("BTC-USD", "sell", "601.00", "2")
        await shows(page, "bids", ("600.10", "0.5000"), ("600.05", "0.0010"))
        await shows(page, "asks", ("601.00", "2.0000"))
        await until_on(page, "document.querySelector('#spread').textContent === 'spread 0.90'")
        levels = server.market.exchange.book("BTC-USD").levels
        assert await page.evaluate("[market.book.levels.digest.value.toString(), market.book.verified]") == [str(levels.digest), True]
        assert "verified" in await page.inner_text("#stream")
        await page.click("#instruments >> text=ETH-USD")
        await shows(page, "bids")
        await alice.place("ETH-USD", "buy", "20", "1")
        await shows(page, "bids", ("20.00", "1.0000"))


@run
async def test_an_order_goes_by_mouse_and_is_filled() -> None:
    async with serving() as server, trader(server, "bob") as bob, showing(server) as page:
        await bob.place("BTC-USD", "sell", "600", "1")
        await sign_in(page, server)
        await page.click("#asks .row")
        assert await page.input_value("#price") == "600.00"
        await page.fill("#price", "599.50")
        await page.fill("#size", "0.25")
        assert await page.inner_text("#value") == "149.875 USD"
        await page.click("#place")
        await page.wait_for_selector("#bids .row.own")
        await until_on(page, "document.querySelector('#notice').textContent === 'The order is open, with 0.0000 BTC filled.'")
        await shows(page, "bids", ("599.50", "0.2500"))
        assert await page.inner_text("#orders tbody") == "buy BTC-USD\t599.50\t0.2500\tCancel"
        await bob.place("BTC-USD", "sell", "599.50", "0.1")
        await shows(page, "bids", ("599.50", "0.1500"))
        await until_on(page, "document.querySelector('#trades').innerText.includes('0.1000')")
        await until_on(page, "document.querySelector('#balances tbody').innerText.includes('BTC\\t10.1\\t0')")
        await page.click("#orders button")
        await shows(page, "bids")
        await page.wait_for_selector("#no-orders:not([hidden])")
        await page.fill("#size", "1000000")
        await page.click("#place")
        await until_on(page, "document.querySelector('#notice').textContent.includes('(4')")
        await page.reload()
        await page.wait_for_selector("#own:not([hidden])")
        await page.click("#order >> text=Sell")
        await page.select_option("#kind", "market")
        await page.fill("#size", "0.1")
        assert await page.inner_text("#value") == ""
        await page.click("#place")
        await until_on(page, "document.querySelector('#notice').textContent === 'The order ended with 0.0000 BTC filled.'")
        await page.click("#sign-out")
        await page.wait_for_selector("#sign-in:not([hidden])")
        await until_on(page, "market.client.state === 'open'")
        await page.fill("#token", token("carol", server.clock.now(), "market"))
        await page.click("#sign-in button")
        await until_on(page, "document.querySelector('#notice').textContent.includes('(202)') && market.client.state === 'open'")
        await sign_in(page, server, "carol")
        assert await page.inner_text("#who") == "carol"


@run
async def test_an_order_goes_by_keyboard() -> None:
    async with serving() as server, trader(server, "bob") as bob, showing(server) as page:
        for price in ("600", "601", "602"):
            await bob.place("BTC-USD", "buy", price, "1")
        await sign_in(page, server)
        await shows(page, "bids", ("602.00", "1.0000"), ("601.00", "1.0000"), ("600.00", "1.0000"))
        await page.focus("#bids .row[tabindex='0']")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "size"
        assert await page.input_value("#price") == "601.00"
        assert await page.inner_text("#place") == "Sell BTC"
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.press("b")
        await page.keyboard.type("0.5")
        await page.keyboard.press("Enter")
        await shows(page, "bids", ("602.00", "1.0000"), ("601.00", "1.5000"), ("600.00", "1.0000"))
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.press("x")
        await shows(page, "bids", ("602.00", "1.0000"), ("601.00", "1.0000"), ("600.00", "1.0000"))


@run
async def test_a_token_that_has_become_worthless_is_told() -> None:
    async with serving() as server, showing(server) as page:
        await sign_in(page, server)
        server.market.authenticator.revocations.add(Revocation(server.clock.now() / 10**9, subject="alice"))
        await page.click("#cut")
        await page.wait_for_selector("#sign-in:not([hidden])")
        await until_on(page, "document.querySelector('#connection').textContent === 'live' && market.book.verified")
        assert "revoked" in await page.inner_text("#notice")


@run
async def test_why_a_server_does_not_want_the_page_back_is_told() -> None:
    async with serving() as server, showing(server) as page:
        await until_on(page, "market.client.state === 'open'")
        [connection] = server.connections.values()
        connection.session.close(CloseCode.REVOKED, "revoked")
        server.wake()
        await until_on(page, "document.querySelector('#connection').textContent === 'closed'")
        assert "4501 revoked. Load the page again" in await page.inner_text("#notice")


@run
async def test_an_instrument_is_chosen_while_there_is_no_connection() -> None:
    async with serving() as server, trader(server) as alice, showing(server) as page:
        await alice.place("ETH-USD", "buy", "20", "1")
        await until_on(page, "market.book?.frame")
        await page.evaluate("document.querySelector('#cut').click(); document.querySelector('#instruments').lastChild.click()")
        await shows(page, "bids", ("20.00", "1.0000"))


@run
async def test_nothing_of_another_instrument_is_shown_while_there_is_no_connection() -> None:
    async with serving() as server, trader(server) as alice, showing(server) as page:
        await alice.place("BTC-USD", "buy", "600", "1")
        await shows(page, "bids", ("600.00", "1.0000"))
        await server.stop()
        await until_on(page, "market.client.state === 'lost'")
        await page.click("#instruments >> text=ETH-USD")
        await page.wait_for_selector("#ladder", state="hidden")
        assert await page.inner_text("#bid") == "\N{EN DASH}"


@run
async def test_it_recovers_from_a_stall_by_one_merged_frame_and_from_a_cut_by_a_patch() -> None:
    async with serving(sources=[SimulatedSource(1, 100)], tombstones_max=16384) as server, showing(server) as page:
        await page.click("#instruments >> text=ETH-USDT")
        await page.select_option("#interval", "0")
        await until_on(page, "market.book?.counts.applied > 20")
        [session] = [connection.session for connection in server.connections.values()]
        await page.click("#stall")
        await until(lambda: not session.writable)
        await until_on(page, "market.book.patches > 0")
        assert await page.evaluate("[market.book.verified, market.book.counts.gap, market.book.counts.mismatch]") == [True, 0, 0]
        snapshots = await page.evaluate("market.book.counts.snapshot")
        await page.wait_for_selector("#stall:not([disabled])")
        await page.click("#cut")
        await until_on(page, "market.client.connections === 2 && market.client.recoveries.merged > 0 && market.client.state === 'open'")
        seq = await page.evaluate("market.book.seq")
        await until_on(page, f"market.book.seq > {seq}")
        assert await page.evaluate("[market.book.verified, market.book.counts.gap, market.book.counts.mismatch]") == [True, 0, 0]
        larger = await page.evaluate("market.book.inForce.reason") == "larger"    # a patch, once a busy machine has kept it away for long
        assert await page.evaluate("market.book.counts.snapshot") == snapshots + larger
        assert await page.inner_text("#connection") == "live"


def test_it_draws_smoothly_while_much_happens() -> None:
    """Once in three times at least."""

    async def test() -> None:
        async with serving(sources=[SimulatedSource(1, 1000)]) as server, showing(server) as page:
            await page.click("#instruments >> text=ETH-USDT")
            await page.select_option("#interval", "0")
            await page.click("#inspect")
            await until_on(page, "market.book?.counts.applied > 100")
            figures = [await page.evaluate(RATES, SECONDS)]
            while not smooth(*figures[-1]) and len(figures) < 3:
                figures.append(await page.evaluate(RATES, SECONDS))
            assert smooth(*figures[-1]), figures
            assert await page.evaluate("[market.book.verified, market.book.counts.mismatch]") == [True, 0]

    uvloop.run(asyncio.wait_for(test(), 3 * SECONDS + 20))


RATES = """async (seconds) => {
    const frame = () => new Promise(requestAnimationFrame);
    const began = await frame();
    const { changes } = market.book;
    let frames = 0, now = began;
    while (now - began < seconds * 1000) [now, frames] = [await frame(), frames + 1];
    const took = (now - began) / 1000;
    return [(market.book.changes - changes) / took, frames / took];
}"""
"""Changes of the book and frames drawn, a second."""


def smooth(changes: float, frames: float) -> bool:
    """Whether enough was drawn while enough happened."""
    return changes >= CHANGES_PER_S and frames >= FRAMES_PER_S


@run
async def test_the_inspector_shows_bytes_and_fields() -> None:
    async with serving() as server, trader(server) as alice, showing(server) as page:
        await page.click("#inspect")
        await page.select_option("#inspect-kind", "book")
        await until_on(page, "market.book?.frame")
        await alice.place("BTC-USD", "buy", "600.05", "0.001")
        await page.click("#frames button")
        fields = json.loads(await page.inner_text("#fields"))
        assert (fields["message"], fields["channel"], fields["bids"]) == ("book", "orderbook:BTC-USD", [60005, 10])
        assert (await page.inner_text("#hex")).startswith("0000  9b a4 62 6f 6f 6b b1 6f 72 64 65 72 62 6f 6f 6b")


@run
async def test_it_shows_a_relay() -> None:
    async with serving() as server, trader(server) as alice, relaying(server) as relay, showing(relay) as page:
        await alice.place("BTC-USD", "buy", "600.05", "0.001")
        await shows(page, "bids", ("600.05", "0.0010"))
        await page.fill("#token", token("alice", server.clock.now(), "market account trade"))
        await page.click("#sign-in button")
        await until_on(page, "document.querySelector('#notice').textContent.includes('(303)')")


@run
async def test_it_fits() -> None:
    """At any width, light or dark: nothing is wider than the screen, everything that can be used has a name, and text stands out from its ground."""
    async with serving() as server, showing(server) as page:
        await sign_in(page, server)
        for width, scheme in product((390, 820, 1440), ("light", "dark")):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.emulate_media(color_scheme=scheme)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            nameless = """[...document.querySelectorAll("button, input, select, canvas")].filter((element) => element.checkVisibility())
                .filter((element) => !(element.ariaLabel || element.textContent.trim() || element.labels?.length)).map((element) => element.outerHTML)"""
            assert await page.evaluate(nameless) == []
            ground, text = await page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
            assert (brightness(ground) > brightness(text)) == (scheme == "light")


def brightness(colour: str) -> int:
    """The sum of red, green and blue of a CSS colour."""
    return sum(int(part) for part in colour.partition("(")[2].rstrip(")").split(","))


@run
async def test_the_client_makes_the_same_of_the_vectors_in_a_browser() -> None:
    kinds = {"orderbook": "Book", "trades": "Trades", "ticker": "Ticker", "orders": "Orders", "balances": "Balances"}
    vectors = [[kinds[name], vector] for name in kinds for vector in json.loads((FOLDER / f"{name}.json").read_text())]
    script = """async (vectors) => {
        const deltabook = await import("/client/index.js");
        const wrong = [];
        for (const [kind, { channel, name, steps }] of vectors) {
            const mirror = new deltabook[kind](channel);
            steps.forEach(({ msgpack, verdict, resume }, i) => {
                const message = deltabook.decode(Uint8Array.from(msgpack.match(/../g), (digits) => parseInt(digits, 16)));
                const { message: tag, ...fields } = deltabook.describe(message);
                for (const list of ["trades", "orders", "balances"]) if (tag === list) fields[list] = fields[list].map(Object.values);
                const told = tag === "gap" ? "lost" : mirror.receive(fields);
                if (told === "lost" || told === "mismatch") mirror.forget();
                if (told !== verdict || JSON.stringify(mirror.resume) !== JSON.stringify(resume)) wrong.push([name, i, told, verdict]);
            });
        }
        return wrong;
    }"""
    async with serving() as server, showing(server) as page:
        assert await page.evaluate(script, vectors) == []
