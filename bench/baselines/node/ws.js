// Peer: a broadcast with Node's ws, https://github.com/websockets/ws.
"use strict";
const http = require("node:http");
const { WebSocketServer } = require("ws");

const streams = new Map();

function subscribe(socket, stream) {
  if (!streams.has(stream)) streams.set(stream, new Set());
  streams.get(stream).add(socket);
  socket.on("close", () => streams.get(stream).delete(socket));
}

const PUBLISHED = '{"type":"published"}';

function publish(text) {
  const { stream, data } = JSON.parse(text);
  const message = JSON.stringify({ data });
  for (const subscriber of streams.get(stream) ?? []) subscriber.send(message);
}

// The same over HTTP: a POST with the same text.
const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    publish(Buffer.concat(parts));
    response.writeHead(201, { "Content-Type": "application/json" }).end(PUBLISHED);
  });
});
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 1024 });

const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", (socket, request) => {
  const [, role, stream] = request.url.split("/");
  if (role === "ws") subscribe(socket, stream);
  else
    socket.on("message", (text) => {
      publish(text);
      socket.send(PUBLISHED);
    });
});
