// The browser client against a server in memory; the clock is a mock.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { FakeServer, STREAM, TOKEN, record, settle, tick } from "./fake-server.mjs";

let server;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1 });
  mock.method(Math, "random", () => 0.5);
  server = new FakeServer();
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

const message = (data) => ({
  type: "message",
  stream_sid: STREAM.sid,
  message: { sid: `TZ${"2".repeat(32)}`, data },
});
const closing = (reconnect_after, code = 4008) => ({
  type: "closing",
  code,
  reason: "server leaving",
  reconnect_after,
});

// -- connecting -------------------------------------------------------------------------

test("the token is the first frame and never in the address", async () => {
  await server.connected();

  assert.equal(server.socket.url, "ws://sync.test/v1/websocket");
  assert.equal(server.socket.protocol, "sync-streams.v1");
  assert.deepEqual(server.socket.frames[0], { type: "connect", token: TOKEN, id: 1 });
});

test("the client tells its state and identity", async () => {
  const client = server.client();
  assert.equal(client.state, "connecting");

  await settle();
  await server.socket.connect();

  assert.equal(client.state, "connected");
  assert.equal(client.identity, "ada");
});

test("every connection asks the callback for a token", async () => {
  let calls = 0;
  await server.connected({ token: async () => `token-${++calls}` });
  await server.socket.fail();
  await server.reconnected();

  assert.equal(server.socket.sent("connect").token, "token-2");
});

test("a token callback that fails is asked again", async () => {
  const answers = [Promise.reject(new Error("no network")), "second"];
  const client = server.client({ token: () => answers.shift() });
  await settle();
  assert.equal(client.states[0].reason, "no network");

  await server.reconnected();

  assert.equal(client.state, "connected");
});

test("a refused token ends the client when the server says so", async () => {
  const client = server.client();
  await settle();
  await server.socket.open();
  await server.socket.refuse("connect", 20101, 401);
  await server.socket.say({ ...closing(null, 4002), reason: "token invalid" });
  await server.socket.fail();

  const { state, reason, error } = client.states.at(-1);
  assert.deepEqual([state, reason, error.code], ["closed", "token invalid", 20101]);
  await tick(60000);
  assert.equal(server.sockets.length, 1);
});

test("a server that is full is left alone as long as it says", async () => {
  const client = server.client();
  await settle();
  await server.socket.open();
  await server.socket.refuse("connect", 20429, 429);
  await server.socket.say({ ...closing(3, 4006), reason: "server busy" });
  await server.socket.fail();

  assert.equal(client.states.at(-1).retryIn, 3250);
});

test("a server that cannot connect anybody now is tried again", async () => {
  const client = server.client();
  await settle();
  await server.socket.open();
  await server.socket.refuse("connect", 20503, 503);
  await server.socket.say({ ...closing(null, 4001), reason: "not connected" });
  await server.socket.fail();

  await server.reconnected();

  assert.equal(client.state, "connected");
});

test("a token that arrived too late is sent again", async () => {
  const client = server.client();
  await settle();
  await server.socket.open();
  await server.socket.say({ ...closing(null, 4001), reason: "not connected" });
  await server.socket.fail();

  assert.equal(client.state, "reconnecting");
});

test("a server that never answers is given up after the timeout", async () => {
  const client = server.client();
  await settle();
  await server.socket.open();
  await tick(10000);

  assert.equal(client.state, "reconnecting");
  assert.equal(server.socket.isClosed, true);
});

// -- subscribing ------------------------------------------------------------------------

test("a subscription made before connecting is asked for once connected", async () => {
  const client = server.client();
  client.subscribe("demo", { mode: "open_or_create" });
  await settle();
  await server.socket.connect();

  const { stream, mode } = server.socket.sent("subscribe");
  assert.deepEqual([stream, mode], ["demo", "open_or_create"]);
});

test("a listener may subscribe as soon as the client is connected", async () => {
  const client = server.client();
  client.addEventListener("state", () => client.subscribe("demo"), { once: true });
  await settle();
  await server.socket.connect();

  assert.equal(server.socket.frames.filter(({ type }) => type === "subscribe").length, 1);
});

test("messages reach the subscription of their Stream only", async () => {
  const { client, events } = await server.subscribed();
  const other = record(client.subscribe("other"));

  await server.socket.say(message({ n: 1 }));

  assert.deepEqual(events.at(-1), ["message", message({ n: 1 }).message]);
  assert.deepEqual(other, []);
});

test("a Stream subscribed to by name and by SID tells both", async () => {
  const { client } = await server.subscribed();
  const second = client.subscribe(STREAM.sid);
  const events = record(second);
  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });
  await server.socket.say(message({ n: 1 }));
  assert.equal(events.at(-1)[0], "message");

  second.unsubscribe();

  assert.equal(server.socket.sent("unsubscribe"), undefined);
});

test("the last to unsubscribe tells the server", async () => {
  const { subscription, events } = await server.subscribed();
  subscription.unsubscribe();
  await server.socket.say(message({ n: 1 }));

  assert.equal(server.socket.sent("unsubscribe").stream, STREAM.sid);
  assert.deepEqual(events.map(([type]) => type), ["subscribed"]);
});

test("a subscription ended before the answer is undone after it", async () => {
  const client = await server.connected();
  const subscription = client.subscribe("demo");
  subscription.unsubscribe();
  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });

  assert.equal(server.socket.sent("unsubscribe").stream, STREAM.sid);
});

test("a refused subscription ends with the server's error", async () => {
  const client = await server.connected();
  const subscription = client.subscribe("nobody");
  const events = record(subscription);
  await server.socket.refuse("subscribe", 54300, 404);

  assert.equal(events[0][1].code, 54300);
  assert.equal(subscription.ended, true);
});

test("a subscription that fails for a moment is asked for again", async () => {
  const client = await server.connected();
  client.subscribe("demo");
  await server.socket.refuse("subscribe", 20429, 429);
  const before = server.socket.sent("subscribe").id;
  await tick(1000);

  assert.notEqual(server.socket.sent("subscribe").id, before);
});

test("eight subscriptions at most are asked for at a time", async () => {
  const client = await server.connected();
  for (let n = 0; n < 20; n += 1) client.subscribe(`stream-${n}`);
  const asked = () => server.socket.frames.filter(({ type }) => type === "subscribe").length;
  assert.equal(asked(), 8);

  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });

  assert.equal(asked(), 9);
});

test("a removed Stream ends its subscription", async () => {
  const { subscription, events } = await server.subscribed();
  await server.socket.say({ type: "stream_removed", stream_sid: STREAM.sid });

  assert.equal(events.at(-1)[0], "removed");
  assert.equal(subscription.ended, true);
});

test("a gap tells how many Messages were dropped", async () => {
  const { events } = await server.subscribed();
  await server.socket.say({ type: "gap", stream_sid: STREAM.sid, dropped: 7 });

  assert.deepEqual(events.at(-1), ["gap", { dropped: 7 }]);
});

// -- publishing -------------------------------------------------------------------------

test("a publish resolves with the Message's SID", async () => {
  const client = await server.connected();
  const published = client.publish("demo", { n: 1 });
  await server.socket.answer("publish", { type: "published", message_sid: "TZ1" });

  assert.equal((await published).message_sid, "TZ1");
});

test("a refused publish rejects with the server's error and the socket stays", async () => {
  const client = await server.connected();
  const refusal = { code: 54009, status: 429, temporary: true };
  const published = assert.rejects(client.publish("demo", { n: 1 }), refusal);
  await server.socket.refuse("publish", 54009, 429);

  await published;
  assert.equal(client.state, "connected");
});

test("a publish before connecting waits for the connection", async () => {
  const client = server.client();
  client.publish("demo", { n: 1 });
  await settle();
  await server.socket.connect();

  assert.deepEqual(server.socket.sent("publish").data, { n: 1 });
});

test("a publish that loses its connection is rejected and never sent twice", async () => {
  const client = await server.connected();
  const published = client.publish("demo", { n: 1 });
  server.socket.fail();

  await assert.rejects(published, { status: 0, message: "connection lost" });
  await server.reconnected();
  assert.equal(server.socket.sent("publish"), undefined);
});

test("a publish without an answer is rejected after the timeout", async () => {
  const client = await server.connected();
  const published = assert.rejects(client.publish("demo", {}), { message: "No answer in time" });
  await tick(10000);

  await published;
});

test("requests that wait are bounded", async () => {
  const client = await server.connected({ maxPending: 2 });
  client.publish("demo", {});
  client.publish("demo", {});

  await assert.rejects(client.publish("demo", {}), { status: 0 });
});

test("a frame of 64 KiB is sent and one byte more is refused here", async () => {
  const client = await server.connected();
  const head = JSON.stringify({ type: "publish", stream: "demo", data: { text: "" }, id: 2 });
  const text = "x".repeat(65536 - head.length);
  client.publish("demo", { text });
  assert.equal(server.socket.sent("publish").data.text.length, text.length);

  await assert.rejects(client.publish("demo", { text: `${text}x` }), { code: 54006 });
});

test("data that JSON cannot hold is rejected", async () => {
  const client = await server.connected();

  await assert.rejects(client.publish("demo", { n: 1n }), TypeError);
});

// -- staying connected ------------------------------------------------------------------

test("a lost connection comes back, subscribes again and tells of the gap", async () => {
  const { client, events } = await server.subscribed();
  await server.socket.fail();
  assert.equal(client.state, "reconnecting");
  await server.reconnected();
  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });
  await server.socket.say(message({ n: 2 }));

  const types = events.map(([type]) => type);
  assert.deepEqual(types, ["subscribed", "subscribed", "gap", "message"]);
  assert.deepEqual(events[2][1], { dropped: null });
});

test("a Stream that went while disconnected is told as removed", async () => {
  const { events } = await server.subscribed();
  await server.socket.fail();
  await server.reconnected();
  await server.socket.refuse("subscribe", 54300, 404);

  assert.equal(events.at(-1)[0], "removed");
});

test("pauses double up to the cap, with full jitter", async () => {
  const client = server.client({ backoff: 1000, maxBackoff: 4000 });
  for (let n = 0; n < 4; n += 1) {
    await settle();
    await server.socket.fail();
    await tick(4000);
  }

  const pauses = client.states.map(({ retryIn }) => retryIn);
  assert.deepEqual(pauses, [500, 1000, 2000, 2000]);
});

test("a steady connection starts the back-off anew, a short one does not", async () => {
  const client = await server.connected();
  await server.socket.fail();
  await server.reconnected();
  await server.socket.fail();
  await server.reconnected();
  await tick(11000);
  await server.socket.fail();

  const pauses = client.states.flatMap(({ retryIn }) => retryIn ?? []);
  assert.deepEqual(pauses, [250, 500, 250]);
});

test("the client comes back when the server said, not before", async () => {
  const client = await server.connected();
  await server.socket.say(closing(4.5));
  await server.socket.fail();

  assert.deepEqual(client.states.at(-1), {
    state: "reconnecting",
    reason: "server leaving",
    retryIn: 4750,
  });
  await tick(4749);
  assert.equal(server.sockets.length, 1);
  await tick(1);
  assert.equal(server.sockets.length, 2);
});

test("a server that says not to come back is left alone", async () => {
  const { client, subscription } = await server.subscribed();
  await server.socket.say(closing(null));
  await server.socket.fail();
  await tick(120000);

  assert.equal(client.state, "closed");
  assert.equal(subscription.ended, true);
  assert.equal(server.sockets.length, 1);
});

test("the server's ping is answered", async () => {
  await server.connected();
  await server.socket.say({ type: "ping" });

  assert.deepEqual(server.socket.frames.at(-1), { type: "pong" });
});

test("a silent server is asked and, without an answer, left", async () => {
  const client = await server.connected();
  await tick(20000);
  assert.equal(server.socket.sent("ping").type, "ping");
  await tick(10000);

  assert.deepEqual([client.state, client.states.at(-1).reason], ["reconnecting", "no answer"]);
});

test("a server that answers pings is kept", async () => {
  const client = await server.connected();
  for (let n = 0; n < 5; n += 1) {
    await tick(20000);
    await server.socket.answer("ping", { type: "pong" });
  }

  assert.equal(client.state, "connected");
  assert.equal(server.sockets.length, 1);
});

test("coming online ends the pause at once", async () => {
  globalThis.addEventListener = mock.fn();
  const client = await server.connected();
  const [, wake] = globalThis.addEventListener.mock.calls[0].arguments;
  delete globalThis.addEventListener;
  await server.socket.fail();
  wake();
  await settle();
  await server.socket.connect();

  assert.equal(client.state, "connected");
  await tick(60000);
  assert.equal(server.sockets.length, 2);
});

test("a token about to expire is renewed in place", async () => {
  let calls = 0;
  const client = await server.connected({ token: () => `token-${++calls}` });
  await server.socket.say({ type: "token_about_to_expire" });
  assert.equal(server.socket.sent("token").token, "token-2");
  await server.socket.answer("token", { type: "token_updated" });

  assert.equal(client.state, "connected");
  assert.equal(server.sockets.length, 1);
});

test("a fixed token is not sent again, and a listener may set another", async () => {
  const client = await server.connected();
  await server.socket.say({ type: "token_about_to_expire" });
  assert.equal(server.socket.sent("token"), undefined);
  client.addEventListener("token_about_to_expire", () => (client.token = "fresh"));
  await server.socket.say({ type: "token_about_to_expire" });

  assert.equal(server.socket.sent("token").token, "fresh");
});

test("an error that answers nothing is an event of the client", async () => {
  const client = await server.connected();
  const errors = [];
  client.addEventListener("error", ({ detail }) => errors.push(detail.code));
  await server.socket.say({ type: "error", id: null, code: 54008, status: 400, message: "no" });

  assert.deepEqual(errors, [54008]);
});

test("closing rejects what waits, ends the socket and never comes back", async () => {
  const { client, subscription } = await server.subscribed();
  const published = client.publish("demo", {});
  client.close();

  await assert.rejects(published, { message: "closed by the page" });
  await tick(60000);
  assert.equal(subscription.ended, true);
  assert.equal(server.socket.isClosed, true);
  assert.equal(server.sockets.length, 1);
  assert.throws(() => client.subscribe("demo"), { message: "The client is closed" });
});

test("closing before the token is there opens no socket", async () => {
  let give;
  const client = server.client({ token: () => new Promise((resolve) => (give = resolve)) });
  client.close();
  give(TOKEN);
  await settle();

  assert.equal(server.sockets.length, 0);
});
