// Peer: a broadcast to a room with Socket.IO, https://socket.io/docs/v4/rooms/.
"use strict";
const { createServer } = require("http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });
io.on("connection", (socket) => {
  const { stream } = socket.handshake.query;
  if (stream) socket.join(stream);
  socket.on("publish", (message, reply) => {
    io.to(message.stream).emit("message", message.data);
    reply("published");
  });
});
http.listen(Number(process.argv[2]), "127.0.0.1", 1024);
