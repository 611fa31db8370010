// Says what every book of a server is, again and again, to have this client judged:
//
//     node statements.js ws://127.0.0.1:8081/v1 | deltabook judge ws://127.0.0.1:8080/v1

import { connect } from "../index.js";

const [url = "ws://127.0.0.1:8080/v1"] = process.argv.slice(2);

process.stdout.on("error", () => process.exit()); // nobody reads any more
const client = await connect(url);
client.addEventListener("frame", ({ detail: { mirror } }) => {
  const { channel, epoch, seq, levels, queues, verified } = mirror;
  if (verified) process.stdout.write(`${JSON.stringify({ channel, epoch, seq, digest: (levels ?? queues).digest.value.toString() })}\n`);
});
const names = [...(await client.instruments()).keys()];
await client.subscribe(names.map((name) => `orderbook:${name}`), { depth: 0, intervalMs: 100 });
await client.subscribe(names.map((name) => `market_by_order:${name}`));
