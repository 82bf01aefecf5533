// Drives an unmodified twilio-sync package: commands in as JSON lines, answers and
// events out as JSON lines, over a socket that it inherits.
// Usage: node sdk_driver.js PACKAGE DESCRIPTOR

"use strict";

const { Socket, createServer } = require("node:net");
const readline = require("node:readline");
const { setTimeout: pause } = require("node:timers/promises");

// The SDK's timers, which a test may ring, and which a client that is shut down leaves.
const timers = new Map();
const start = setTimeout;
const stop = clearTimeout;
globalThis.setTimeout = (callback, delay, ...args) => {
  const ring = () => timers.delete(timer) && callback(...args);
  const timer = start(ring, delay);
  timers.set(timer, { ring, due: Date.now() + delay });
  return timer;
};
globalThis.clearTimeout = (timer) => {
  timers.delete(timer);
  stop(timer);
};

const { SyncClient } = require(process.argv[2]);

const CLIENT_EVENTS = [
  "connectionStateChanged",
  "connectionError",
  "tokenAboutToExpire",
  "tokenExpired",
  "error",
];
const STREAM_EVENTS = ["messagePublished", "removed", "failure"];

// How often, and after how many ms, to look if clients that were shut down are gone.
const LOOKS = 20;
const LOOK_MS = 5;

// What a test may leave behind that shutting the clients down does not end.
const LEFTOVERS = {
  nothing() {},
  socket: () => createServer().listen(0, "127.0.0.1"),
  timer: () => setInterval(() => {}, 60_000),
};

const link = new Socket({ fd: Number(process.argv[3]) });
const clients = new Map();
const streams = new Map();
const crashes = [];

function tell(line) {
  link.write(JSON.stringify(line) + "\n");
}

function describe(error) {
  const { name, status, code, message, body } = error;
  return { name, status, code, message: String(message), body };
}

function describeEvent(name, event) {
  if (name === "messagePublished") {
    const { sid, data, value } = event.message;
    return { sid, data: data === undefined ? value : data, isLocal: event.isLocal };
  }
  return event instanceof Error ? describe(event) : event;
}

function listen(source, names, tag) {
  for (const name of names) {
    source.on(name, (event) => tell({ event: name, ...tag, args: describeEvent(name, event) }));
  }
}

function describeStream(stream) {
  const { sid, uniqueName, dateExpires } = stream;
  return { sid, uniqueName, dateExpires };
}

const commands = {
  create({ client, token, options }) {
    const made = new SyncClient(token, options);
    clients.set(client, made);
    listen(made, CLIENT_EVENTS, { client });
  },
  state: ({ client }) => clients.get(client).connectionState,
  async stream({ client, stream, options }) {
    const opened = await clients.get(client).stream(options === null ? undefined : options);
    streams.set(stream, opened);
    listen(opened, STREAM_EVENTS, { stream });
    return describeStream(opened);
  },
  async publish({ stream, data }) {
    const { sid, data: published, value } = await streams.get(stream).publishMessage(data);
    return { sid, data: published === undefined ? value : published };
  },
  async setTtl({ stream, ttl }) {
    await streams.get(stream).setTtl(ttl);
    return describeStream(streams.get(stream));
  },
  describe: ({ stream }) => describeStream(streams.get(stream)),
  remove: ({ stream }) => streams.get(stream).removeStream(),
  close: ({ stream }) => streams.get(stream).close(),
  updateToken: async ({ client, token }) => void (await clients.get(client).updateToken(token)),
  renewOnExpiry({ client, token, delay }) {
    const source = clients.get(client);
    const renew = () =>
      source.updateToken(token).then(
        () => tell({ event: "renewed", client }),
        (error) => tell({ event: "renewalFailed", client, args: describe(error) }),
      );
    source.on("tokenExpired", () => (delay === null ? renew() : setTimeout(renew, delay)));
  },
  shutdown: ({ client }) => clients.get(client).shutdown(),
  async open({ client, kind, options }) {
    const opened = await clients.get(client)[kind](options);
    return { sid: opened.sid };
  },
  jump({ seconds }) {
    const now = Date.now() + 1000 * seconds;
    const due = [...timers].filter(([, timer]) => timer.due <= now);
    for (const [timer, { ring }] of due) {
      stop(timer);
      ring();
    }
    return due.length;
  },
  pid: () => process.pid,
  leave: ({ what }) => void LEFTOVERS[what](),
  crashes: () => crashes.splice(0),
  async end() {
    await Promise.all(Array.from(clients.values(), (client) => client.shutdown()));
    [...timers.keys()].forEach(clearTimeout);
    for (const each of [clients, streams, timers]) each.clear();
    let looks = 0;
    while (left().length > 0 && looks++ < LOOKS) await pause(LOOK_MS);
    return [...left(), ...crashes];
  },
};

// The sockets and timers that are there besides the link.
function left() {
  return process.getActiveResourcesInfo().filter((name) => name !== "PipeWrap");
}

async function answer({ id, command, ...args }) {
  try {
    tell({ id, result: (await commands[command](args)) ?? null });
  } catch (error) {
    tell({ id, error: describe(error) });
  }
}

process.on("uncaughtException", (error) => crashes.push(describe(error)));
process.on("unhandledRejection", (error) => crashes.push(describe(error)));

readline
  .createInterface({ input: link })
  .on("line", (line) => answer(JSON.parse(line)))
  .on("close", () => process.exit(0));
