"use strict";

/** Node's ws: `send` to each connection. */
const { WebSocketServer, WebSocket } = require("ws");
const { pace } = require("./pace.js");

const [size, period] = process.argv.slice(2).map(Number);
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false }, () => {
    console.log(server.address().port);
    pace(BigInt(period), (now) => {
        const payload = Buffer.alloc(size);
        payload.writeBigUInt64BE(now, size - 8);
        for (const client of server.clients) {
            if (client.readyState === WebSocket.OPEN) client.send(payload, { binary: true });
        }
    });
});
