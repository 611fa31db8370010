// The JavaScript client of tests/fault/bad_network.py: it follows channels, and says by lines of JSON what it has of them when it is asked.

import { createInterface } from "node:readline";

import { Book, Client, Ticker, Trades } from "../../stream/web/client/index.js";

const [url, token, channels] = process.argv.slice(2);
const lost = {};
const say = (value) => process.stdout.write(`${JSON.stringify(value, (_, each) => (typeof each === "bigint" ? each.toString() : each))}\n`);

function stateOf(mirror) {
  if (mirror instanceof Book) return mirror.levels.digest.value.toString();
  if (mirror instanceof Trades) return mirror.latest.slice(-20).map(({ seq, price_ticks, size_lots }) => [seq, price_ticks, size_lots]);
  if (mirror instanceof Ticker) {
    const { frame } = mirror;
    return frame && [frame.last, frame.bid, frame.bid_size, frame.ask, frame.ask_size, frame.trades];
  }
  return [...mirror.open.values()].map(({ order, remaining_lots }) => [order, remaining_lots]).sort(([one], [other]) => (one < other ? -1 : 1));
}

const client = new Client(url, { token: async () => token });
while (client.state !== "open") await client.open().catch(() => {}); // a machine that stands still loses honest lines, too
client.addEventListener("state", ({ detail: { state, reason } }) => {
  if (state === "closed") throw new Error(`the client gave up: ${reason}`);
  if (state === "lost") lost[reason] = (lost[reason] ?? 0) + 1;
});
const again = () => new Promise((resolve) => setTimeout(resolve, 1000));
while (!client.mirrors.size) await client.subscribe(JSON.parse(channels), { depth: 0, intervalMs: 100 }).catch(again);
say("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const mirrors = [...client.mirrors.values()];
  if (line === "state") say(Object.fromEntries(mirrors.map((mirror) => [mirror.channel, stateOf(mirror)])));
  else {
    const frames = {};
    for (const { counts } of mirrors) for (const [verdict, count] of Object.entries(counts)) frames[verdict] = (frames[verdict] ?? 0) + count;
    say({ connections: client.connections, recovered: client.recoveries, frames, lost: Object.values(lost).reduce((one, other) => one + other, 0) });
  }
}
process.exit(0);
