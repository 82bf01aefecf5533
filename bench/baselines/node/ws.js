// Peer: a broadcast with Node's ws, https://github.com/websockets/ws.
"use strict";
const { WebSocketServer } = require("ws");

const streams = new Map();

function subscribe(socket, stream) {
  if (!streams.has(stream)) streams.set(stream, new Set());
  streams.get(stream).add(socket);
  socket.on("close", () => streams.get(stream).delete(socket));
}

function publish(socket, text) {
  const { stream, data } = JSON.parse(text);
  const message = JSON.stringify({ data });
  for (const subscriber of streams.get(stream) ?? []) subscriber.send(message);
  socket.send('{"type":"published"}');
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  backlog: 1024,
  perMessageDeflate: false,
});
server.on("connection", (socket, request) => {
  const [, role, stream] = request.url.split("/");
  if (role === "ws") subscribe(socket, stream);
  else socket.on("message", (text) => publish(socket, text));
});
