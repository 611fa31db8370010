"""The JavaScript client behind the proxy of faults: in node with its own WebSocket, in node as npm installs it, and in a real Chromium."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stream.client.counts import Lots, Ticks
from stream.fault import FaultProxy, kinds, scripted
from stream.server.market_server import MarketServer
from tests.client.test_client import trader
from tests.sockets import PATIENCE_S, run, serving
from tests.waiting import until
from tests.web.browser import CHROMIUM, needs_browser, playwright
from tests.web.test_javascript_client import NODE, SOCKETS, has_websocket
from tests.web.test_web import CLIENT

SLOW = {"silent", "silent-after-upgrade", "endless-head", "stall"}
"""What takes ten seconds of silence: tests.fault.bad_network has these, too."""

FEW = {"half-status-line", "cut", "fragments"}
"""What a browser is tried on: after a failure it takes seconds to its next handshake with the same address, whatever the client wants."""

ALL = set(kinds()) - SLOW
NPM = shutil.which("npm")

FOLLOW = """
    async function follow(url, WebSocket, ready) {
      const client = await connect(url, { WebSocket });
      const reasons = [];
      client.addEventListener("state", ({ detail: { state, reason } }) => state === "lost" && reasons.push(reason));
      const [book] = await client.subscribe(["orderbook:BTC-USD", "trades:BTC-USD"], { intervalMs: 0 });
      ready();
      for await (const _ of book) if (book.levels.best(0)[0]?.[0] === 300) break;
      client.close();
      return { connections: client.connections, verified: book.verified, reasons };
    }
    async function refused(url, WebSocket) {
      try {
        await connect(url, { WebSocket });
        return "connected";
      } catch (error) {
        return `${error.name} ${error.message}`;
      }
    }
"""


@asynccontextmanager
async def proxied(server: MarketServer, scripts: dict[str, str]) -> AsyncIterator[dict[str, FaultProxy]]:
    """A proxy for each script, by name."""
    async with AsyncExitStack() as stack:
        to = f"ws://127.0.0.1:{server.port}/v1"
        yield {name: await stack.enter_async_context(FaultProxy(to, scripted(script))) for name, script in scripts.items()}


def urls_of(proxies: dict[str, FaultProxy]) -> dict[str, str]:
    return {name: proxy.url for name, proxy in proxies.items()}


def script_of_return(name: str) -> str:
    """A kind on the way back, or in the middle of the first connection; then all is well."""
    kind = kinds()[name]
    amount = ":5" if kind.unit == "frames" else ""
    return f"{name}{amount} pass" if kind.reaches_server else f"pass {name} pass"


Runtime = Callable[[dict[str, str], str, Callable[[str], None]], Awaitable[dict[str, Any]]]
"""Calls a function of FOLLOW with each URL, all at once; what each comes to, by name. The last argument hears the names of those who are ready."""


async def in_node(socket: str, urls: dict[str, str], function: str, ready: Callable[[str], None], folder: Path | None = None) -> dict[str, Any]:
    """Do it in node, with a WebSocket that an expression names."""
    assert NODE
    program = f"""
        import {{ connect }} from "{'deltabook' if folder else CLIENT.as_uri() + '/index.js'}";
        {FOLLOW}
        const say = (what) => process.stdout.write(JSON.stringify(what) + "\\n");
        const urls = JSON.parse(process.argv[{2 if folder else 1}]);
        const outcomes = await Promise.all(Object.entries(urls).map(async ([name, url]) => [name, await {function}(url, {socket}, () => say(name))]));
        say(Object.fromEntries(outcomes));
        process.exit(0);
    """
    arguments = [SOCKETS, "--no-warnings", "--input-type=module", "-e", program, "--", json.dumps(urls)]
    if folder:
        (folder / "program.mjs").write_text(program)
        arguments = ["program.mjs", json.dumps(urls)]
    process = await asyncio.create_subprocess_exec(NODE, *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    outcome: Any = None
    async for line in process.stdout:
        outcome = json.loads(line)
        if isinstance(outcome, str):
            ready(outcome)
    assert await process.wait() == 0
    return dict(outcome)


async def returns(server: MarketServer, names: set[str], run_all: Runtime) -> None:
    """Every kind of fault is lived through, and the book is right in the end."""
    async with proxied(server, {name: script_of_return(name) for name in names}) as proxies, trader(server) as other:
        waiting = {name for name in names if not kinds()[name].reaches_server}
        left, all_ready = set(proxies), asyncio.Event()

        def ready(name: str) -> None:
            left.discard(name)
            if name in waiting:
                proxies[name].cut()
            if not left:
                all_ready.set()

        following = asyncio.create_task(run_all(urls_of(proxies), "follow", ready))
        await asyncio.wait([following, asyncio.create_task(all_ready.wait())], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
        await until(lambda: following.done() or all(proxies[name].connections >= 3 for name in waiting))
        await other.place("BTC-USD", "buy", Ticks(300), Lots(5))
        outcomes = await following
    assert set(outcomes) == set(proxies)
    assert [name for name, outcome in outcomes.items() if not outcome["verified"]] == []
    for name in waiting:
        lost, missed = outcomes[name]["reasons"]
        assert outcomes[name]["connections"] == 2, name
        assert lost.startswith("the connection was lost"), name
        assert missed.startswith(f"{proxies[name].url}: "), name
        assert missed.endswith("is it a deltabook server, and the path right?"), name


async def refusals(server: MarketServer, names: set[str], run_all: Runtime) -> None:
    """A first connection that comes to nothing says so at once, and where."""
    async with proxied(server, {name: name for name in names if not kinds()[name].reaches_server}) as proxies:
        outcomes = await run_all(urls_of(proxies), "refused", lambda name: None)
    assert {name: outcome for name, outcome in outcomes.items() if not outcome.startswith(f"ConnectionLost {proxies[name].url}: ")} == {}
    assert {proxy.connections for proxy in proxies.values()} == {1}


@pytest.mark.skipif(not has_websocket(), reason="node 20 or later is not installed")
@run
async def test_in_node() -> None:
    async with serving(heartbeat_ms=200) as server:
        await returns(server, ALL, lambda urls, function, ready: in_node("globalThis.WebSocket", urls, function, ready))


@pytest.fixture(scope="session")
def bare_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which nothing is but the packed client, as npm installs it."""
    if NPM is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("bare")
    packed = subprocess.run([NPM, "pack", "--silent", "--pack-destination", str(folder)], cwd=CLIENT, capture_output=True, text=True, timeout=60, check=True)
    install = [NPM, "install", "--silent", "--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=10000", packed.stdout.split()[-1]]
    (folder / "package.json").write_text('{"type": "module"}')
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if not (folder / "node_modules" / "ws").exists():
        pytest.skip(f"npm has no registry to install ws from: {done.stderr[-200:]}")
    return folder


@pytest.mark.parametrize("scene", [returns, refusals])
def test_in_node_without_a_flag_as_npm_installs_it(scene: Any, bare_folder: Path) -> None:
    @run
    async def test() -> None:
        async with serving(heartbeat_ms=200) as server:
            await scene(server, ALL, lambda urls, function, ready: in_node("undefined", urls, function, ready, bare_folder))

    test()


def test_the_package_holds_what_it_needs_and_no_more(bare_folder: Path) -> None:
    package = bare_folder / "node_modules" / "deltabook"
    assert {path.name for path in package.iterdir()} == {path.name for path in CLIENT.iterdir() if path.is_file()}
    assert json.loads((package / "package.json").read_text())["optionalDependencies"].keys() == {"ws"}


def test_without_any_websocket_it_says_what_to_do(bare_folder: Path, tmp_path: Path) -> None:
    assert NODE
    shutil.copytree(bare_folder / "node_modules" / "deltabook", tmp_path / "node_modules" / "deltabook")
    program = 'import { connect } from "deltabook";\nawait connect("ws://127.0.0.1:1/v1").catch((error) => console.log(error.name, error.message));\n'
    (tmp_path / "program.mjs").write_text("globalThis.WebSocket = undefined;\n" + program)
    done = subprocess.run([NODE, "program.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "ClientError there is no class WebSocket: run `npm install ws`, use Node 22, or pass a class in the option WebSocket\n"


@pytest.mark.skipif(not has_websocket(), reason="node 20 or later is not installed")
@run
async def test_tls_to_a_plain_port_is_told() -> None:
    async with serving() as server:
        outcome = await in_node("globalThis.WebSocket", {"tls": f"wss://127.0.0.1:{server.port}/v1"}, "refused", lambda name: None)
        assert outcome["tls"].startswith(f"ConnectionLost wss://127.0.0.1:{server.port}/v1: ")


@needs_browser
@run
async def test_in_a_browser() -> None:
    async with serving(heartbeat_ms=200, origins=(SITE,)) as server, playwright.async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"])
        try:
            page = await browser.new_page()
            await page.route(f"{SITE}/**", lambda route: route.fulfill(**answer_of(route.request.url.removeprefix(SITE))))
            await page.goto(f"{SITE}/")
            await returns(server, FEW, lambda urls, function, ready: in_page(page, urls, function, ready))
        finally:
            await browser.close()


SITE = "http://client.test"
"""A page of another origin than the server's, with nothing on it but the client."""


def answer_of(path: str) -> dict[str, Any]:
    """What the site answers."""
    if path == "/":
        return {"content_type": "text/html", "body": "<!doctype html><title>client</title>"}
    return {"content_type": "text/javascript", "path": str(CLIENT / path.removeprefix("/"))}


async def in_page(page: Any, urls: dict[str, str], function: str, ready: Callable[[str], None]) -> dict[str, Any]:
    """Do it in a page of a browser."""
    await page.expose_function("say", ready)
    program = f"""async (urls) => {{
        const {{ connect }} = await import("/index.js");
        {FOLLOW}
        const outcomes = await Promise.all(Object.entries(urls).map(async ([name, url]) => [name, await {function}(url, undefined, () => say(name))]));
        return Object.fromEntries(outcomes);
    }}"""
    return dict(await page.evaluate(program, urls))
