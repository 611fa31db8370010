"use strict";

/** Socket.IO over WebSocket alone: an event with a text of so many bytes, the time in hexadecimal digits at its end. Binary data would be two messages. */
const { createServer } = require("http");
const { Server } = require("socket.io");
const { pace } = require("./pace.js");

const [size, period] = process.argv.slice(2).map(Number);
const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
http.listen(0, "127.0.0.1", () => {
    console.log(http.address().port);
    pace(BigInt(period), (now) => io.emit("update", now.toString(16).padStart(size, "0")));
});
