// A server in memory: the other end of every socket that a client under test opens.

import { mock } from "node:test";
import { SyncStreams } from "../../sync_streams/static/sync_streams/sync-streams.js";

export const STREAM = { sid: `TO${"1".repeat(32)}`, unique_name: "demo", date_expires: null };
export const TOKEN = "eyJ.token";
export const settle = () => new Promise((resolve) => setImmediate(resolve));

class FakeSocket {
  constructor(server, url, protocol) {
    Object.assign(this, { server, url, protocol, frames: [], isClosed: false });
    server.sockets.push(this);
  }

  open() {
    this.onopen({});
    return settle();
  }

  say(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
    return settle();
  }

  send(text) {
    this.frames.push(JSON.parse(text));
  }

  /** The newest frame of a type that the client sent. */
  sent(type) {
    return this.frames.findLast((frame) => frame.type === type);
  }

  answer(type, reply) {
    return this.say({ id: this.sent(type).id, ...reply });
  }

  refuse(type, code, status) {
    return this.answer(type, { type: "error", code, status, message: `no ${type}` });
  }

  close() {
    this.isClosed = true;
  }

  fail(reason = "") {
    this.onclose({ code: 1006, reason });
    return settle();
  }

  /** Refuse the handshake: a socket's error event, then its end. */
  refuseHandshake(event = {}) {
    this.onerror(event);
    return this.fail();
  }

  async connect() {
    await this.open();
    await this.answer("connect", { type: "connected", identity: "ada" });
  }
}

export class FakeServer {
  sockets = [];

  client(options = {}) {
    const server = this;
    const WebSocket = function (url, protocol) {
      return new FakeSocket(server, url, protocol);
    };
    const client = new SyncStreams({
      url: "http://sync.test/v1/websocket",
      token: TOKEN,
      WebSocket,
      ...options,
    });
    client.states = [];
    client.errors = [];
    client.addEventListener("state", ({ detail }) => client.states.push(detail));
    client.addEventListener("error", ({ detail }) => client.errors.push(detail));
    return client;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  async connected(options) {
    const client = this.client(options);
    await settle();
    await this.socket.connect();
    return client;
  }

  /** A connected client and its Subscription, asked for with *hooks* and answered. */
  async subscribed(options, hooks) {
    const client = await this.connected(options);
    const subscription = client.subscribe("demo", hooks);
    const events = record(subscription);
    await this.socket.answer("subscribe", { type: "subscribed", stream: STREAM });
    return { client, subscription, events };
  }

  /** Let the clock run until the client has opened its next socket. */
  async reconnected(milliseconds = 30000) {
    const before = this.sockets.length;
    await tick(milliseconds);
    if (this.sockets.length !== before + 1) throw new Error("The client did not come back");
    await this.socket.connect();
  }
}

export async function tick(milliseconds) {
  mock.timers.tick(milliseconds);
  await settle();
}

export function record(subscription) {
  const events = [];
  for (const type of ["subscribed", "message", "gap", "removed", "error"])
    subscription.addEventListener(type, ({ detail }) => events.push([type, detail]));
  return events;
}
