// The browser client against a server in memory; the clock is a mock.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { SyncStreamsError } from "../../sync_streams/static/sync_streams/sync-streams.js";
import { FakeServer, STREAM, TOKEN, record, settle, tick } from "./fake-server.mjs";

let server;
let warnings;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1 });
  mock.method(Math, "random", () => 0.5);
  warnings = [];
  mock.method(console, "warn", (text) => warnings.push(text));
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
const gap = (dropped) => ({ type: "gap", stream_sid: STREAM.sid, dropped });
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

test("a refused token is asked for once more, with the refusal", async () => {
  const refusals = [];
  const client = server.client({ token: (refusal) => refusals.push(refusal?.code) });
  for (let n = 0; n < 2; n += 1) {
    await settle();
    await server.socket.open();
    await server.socket.refuse("connect", 20104, 401);
    await server.socket.say({ ...closing(null, 4002), reason: "token invalid" });
    await server.socket.fail();
    await tick(500);
  }
  await tick(60000);

  assert.deepEqual(refusals, [undefined, 20104]);
  assert.equal(client.state, "closed");
  assert.deepEqual([client.errors.length, client.errors[0].code], [1, 20104]);
  assert.deepEqual(warnings, ["sync-streams: no connect"]);
});

test("a token that was withdrawn is asked for anew, each time after a connection", async () => {
  const client = await server.connected({ token: () => TOKEN });
  for (let n = 0; n < 3; n += 1) {
    await server.socket.say({ ...closing(null, 4002), reason: "token invalid" });
    await server.socket.fail();
    await server.reconnected();
  }

  assert.equal(client.state, "connected");
});

test("a fixed token that was refused is not sent again", async () => {
  const client = await server.connected();
  await server.socket.say({ ...closing(null, 4002), reason: "token invalid" });
  await server.socket.fail();

  assert.deepEqual([client.state, client.states.at(-1).reason], ["closed", "token invalid"]);
});

test("a token function that says the user has left closes the client", async () => {
  const error = new SyncStreamsError("Logged out", { temporary: false });
  const client = server.client({ token: () => Promise.reject(error) });
  await settle();

  assert.deepEqual(client.states, [{ state: "closed", reason: "Logged out", error }]);
  assert.equal(server.sockets.length, 0);
});

test("a refused handshake is told once, in the socket's words", async () => {
  const client = server.client();
  for (let n = 0; n < 3; n += 1) {
    await settle();
    await server.socket.refuseHandshake({ message: "Unexpected server response: 404" });
    await tick(30000);
  }

  const text = "Cannot connect to ws://sync.test/v1/websocket: Unexpected server response: 404";
  assert.deepEqual(warnings, [`sync-streams: ${text}`]);
  assert.deepEqual(client.errors.map(({ message }) => message), [text]);
  assert.equal(client.states.at(-1).reason, "Unexpected server response: 404");
});

for (const [event, words] of [[{}, /wrong path/], [{ message: "", error: { code: "ECONNREFUSED" } }, /ECONNREFUSED/]])
  test(`a handshake that fails with ${JSON.stringify(event)} is told with words`, async () => {
    server.client();
    await settle();
    await server.socket.refuseHandshake(event);

    assert.match(warnings[0], words);
  });

test("a refused handshake that is told by an error only is tried again", async () => {
  const client = server.client();
  await settle();
  server.socket.onerror({ message: "" });
  assert.equal(client.state, "reconnecting");

  await server.reconnected();

  assert.equal(client.state, "connected");
});

test("a listener may keep the console quiet", async () => {
  const client = server.client();
  client.addEventListener("error", (event) => event.preventDefault());
  await settle();
  await server.socket.refuseHandshake();

  assert.deepEqual([client.errors.length, warnings], [1, []]);
});

test("a server that was reached before is missed without a warning", async () => {
  const client = await server.connected();
  await server.socket.fail();
  await tick(30000);
  await server.socket.refuseHandshake();

  assert.deepEqual([client.errors, warnings], [[], []]);
});

test("without a WebSocket the constructor says what to do", () => {
  assert.throws(() => server.client({ WebSocket: undefined }), /No WebSocket here: pass one/);
});

for (const [href, url, wanted] of [
  ["https://sync.test/static/worker.js", "/v1/websocket", "wss://sync.test/v1/websocket"],
  ["https://sync.test/static/worker.js", "socket", "wss://sync.test/static/socket"],
  ["blob:https://sync.test/0-1", "/v1/websocket", "wss://sync.test/v1/websocket"],
  ["http://sync.test/", undefined, "ws://sync.test/v1/websocket"],
  ["http://sync.test/", "wss://other.test/x", "wss://other.test/x"],
])
  test(`in a worker at ${href} the url ${url} is ${wanted}`, (context) => {
    globalThis.location = new URL(href);
    context.after(() => delete globalThis.location);

    assert.equal(server.client({ url }).url.href, wanted);
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

const asked = () => server.socket.frames.filter(({ type }) => type === "subscribe");
const refusal = (id) => ({ type: "error", id, code: 20429, status: 429, message: "no" });

test("a subscription that fails for a moment is asked for again", async () => {
  const client = await server.connected();
  client.subscribe("demo");
  await server.socket.refuse("subscribe", 20429, 429);
  await tick(1249);
  assert.equal(asked().length, 1);
  await tick(1);

  assert.equal(asked().length, 2);
});

test("while the server refuses, no subscription is asked for, for longer each time", async () => {
  const client = await server.connected();
  for (let n = 0; n < 20; n += 1) client.subscribe(`stream-${n}`);
  for (const pause of [1250, 1500, 2000, 3000, 5000]) {
    const before = asked().length;
    for (const { id } of asked().slice(-8)) await server.socket.say(refusal(id));
    client.subscribe("another");
    await tick(pause - 1);
    assert.equal(asked().length, before);
    await tick(1);
    assert.equal(asked().length, before + 8);
  }

  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });
  await server.socket.refuse("subscribe", 20429, 429);
  const before = asked().length;
  await tick(1250);
  assert.equal(asked().length, before + 1, "an answer has reset the pause");
});

test("2,000 subscriptions are all made within the server's limit of frames", async () => {
  const client = await server.connected();
  let subscribed = 0;
  for (let n = 0; n < 2000; n += 1)
    client.subscribe(`stream-${n}`).addEventListener("subscribed", () => (subscribed += 1));
  let answered = 0; // frames, of which 1,000 in two seconds are accepted
  let most = 0;
  for (let window = 0; window < 5; window += 1) {
    const first = answered;
    for (let part = 0; part < 20; part += 1, await tick(100))
      for (; answered < asked().length; answered += 1) {
        const { id } = asked()[answered];
        const accepted = { type: "subscribed", id, stream: STREAM };
        await server.socket.say(answered - first < 1000 ? accepted : refusal(id));
      }
    most = Math.max(most, answered - first);
  }

  assert.equal(subscribed, 2000);
  assert.ok(most < 1100, `${most} frames in one window`);
});

test("a subscription beyond the connection's limit ends", async () => {
  const client = await server.connected();
  const events = record(client.subscribe("demo"));
  await server.socket.refuse("subscribe", 54419, 429);

  assert.deepEqual([events[0][0], events[0][1].temporary], ["error", false]);
});

test("nothing is asked for after a pause that outlived its connection", async () => {
  const client = await server.connected();
  client.subscribe("demo");
  await server.socket.refuse("subscribe", 20503, 503);
  await server.socket.fail();
  await server.reconnected(250);
  await tick(5000);

  assert.equal(asked().length, 1);
});

test("eight subscriptions at most are asked for at a time", async () => {
  const client = await server.connected();
  for (let n = 0; n < 20; n += 1) client.subscribe(`stream-${n}`);
  assert.equal(asked().length, 8);

  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });

  assert.equal(asked().length, 9);
});

test("an onStart that hangs keeps no other subscription waiting", async () => {
  const client = await server.connected();
  for (let n = 0; n < 10; n += 1) client.subscribe(`stream-${n}`, { onStart: newHook() });
  for (const { id } of asked())
    await server.socket.say({ type: "subscribed", id, stream: STREAM });

  assert.equal(asked().length, 10);
});

test("a listener that unsubscribes when subscribed gets no onStart and no Message", async () => {
  const client = await server.connected();
  const onStart = newHook();
  const subscription = client.subscribe("demo", { onStart });
  const events = record(subscription);
  subscription.addEventListener("subscribed", () => subscription.unsubscribe());
  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });
  await server.socket.say(message({ n: 1 }));

  assert.deepEqual([types(events), onStart.calls], [["subscribed"], []]);
});

test("a removed Stream ends its subscription", async () => {
  const { subscription, events } = await server.subscribed();
  await server.socket.say({ type: "stream_removed", stream_sid: STREAM.sid });

  assert.equal(events.at(-1)[0], "removed");
  assert.equal(subscription.ended, true);
});

for (const dropped of [7, null])
  test(`a gap tells that ${dropped} Messages were dropped`, async () => {
    const { events } = await server.subscribed();
    await server.socket.say(gap(dropped));

    assert.deepEqual(events.at(-1), ["gap", { dropped }]);
  });

test("one that leaves does not end another that is being subscribed", async () => {
  const { client, subscription } = await server.subscribed();
  for (const ref of ["demo", STREAM.sid]) {
    const second = client.subscribe(ref);
    subscription.unsubscribe();

    assert.equal(server.socket.sent("unsubscribe"), undefined);
    second.unsubscribe();
  }
});

test("one that left before its answer does not end the next", async () => {
  const client = await server.connected();
  client.subscribe("demo").unsubscribe();
  const asked = server.socket.sent("subscribe").id;
  const events = record(client.subscribe("demo"));
  await server.socket.say({ id: asked, type: "subscribed", stream: STREAM });
  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });
  await server.socket.say(message({ n: 1 }));

  assert.equal(server.socket.sent("unsubscribe"), undefined);
  assert.deepEqual(events.map(([type]) => type), ["subscribed", "message"]);
});

test("one that waits for a Stream created anew is not ended by another", async () => {
  const { client, subscription } = await server.subscribed();
  client.subscribe("demo");
  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });
  await server.socket.fail();
  await server.reconnected();
  const [first] = server.socket.frames.filter(({ type }) => type === "subscribe");
  const anew = { ...STREAM, sid: `TO${"9".repeat(32)}` };
  await server.socket.say({ id: first.id, type: "subscribed", stream: anew });
  subscription.unsubscribe();

  assert.equal(server.socket.sent("unsubscribe"), undefined);
});

// -- catching up ------------------------------------------------------------------------

/** A hook that the test ends: `hook.end()`. */
function newHook() {
  const hook = (detail) => {
    hook.calls.push(detail.dropped);
    return new Promise((resolve, reject) => Object.assign(hook, { end: resolve, fail: reject }));
  };
  return Object.assign(hook, { calls: [] });
}

const types = (events) => events.map(([type]) => type);
const numbers = (events) => events.filter(([type]) => type === "message").map(([, { data }]) => data.n);

test("Messages wait for onGap, in order", async () => {
  const onGap = newHook();
  const { events } = await server.subscribed({}, { onGap });
  await server.socket.say(gap(3));
  await server.socket.say(message({ n: 1 }));
  await server.socket.say(message({ n: 2 }));
  assert.deepEqual([types(events), onGap.calls], [["subscribed", "gap"], [3]]);

  onGap.end();
  await settle();
  await server.socket.say(message({ n: 3 }));

  assert.deepEqual(numbers(events), [1, 2, 3]);
});

test("onStart loads what was there before, once", async () => {
  const onStart = newHook();
  const { events } = await server.subscribed({}, { onStart });
  await server.socket.say(message({ n: 1 }));
  assert.deepEqual(types(events), ["subscribed"]);
  onStart.end();
  await settle();
  assert.deepEqual(numbers(events), [1]);

  await server.socket.fail();
  await server.reconnected();
  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });

  assert.deepEqual(onStart.calls, [0]);
});

test("a reconnection calls onGap", async () => {
  const onGap = newHook();
  await server.subscribed({}, { onGap });
  await server.socket.fail();
  await server.reconnected();
  await server.socket.answer("subscribe", { type: "subscribed", stream: STREAM });

  assert.deepEqual(onGap.calls, [null]);
});

test("a gap that comes while catching up calls onGap again", async () => {
  const onGap = newHook();
  const { events } = await server.subscribed({}, { onGap });
  await server.socket.say(gap(1));
  await server.socket.say(message({ n: 1 }));
  await server.socket.say(gap(2));
  await server.socket.say(message({ n: 2 }));
  onGap.end();
  await settle();
  assert.deepEqual([onGap.calls, numbers(events)], [[1, 2], [1]]);

  onGap.end();
  await settle();

  assert.deepEqual(numbers(events), [1, 2]);
});

for (const [count, wanted] of [[1000, 1000], [1001, 0]])
  test(`of ${count} Messages that wait for onGap ${wanted} are delivered`, async () => {
    const onGap = newHook();
    const { events } = await server.subscribed({}, { onGap });
    await server.socket.say(gap(1));
    for (let n = 0; n < count; n += 1) await server.socket.say(message({ n }));
    onGap.end();
    await settle();

    assert.equal(numbers(events).length, wanted);
    assert.deepEqual(onGap.calls, wanted ? [1] : [1, null]);
  });

for (const [how, hook] of [
  ["throws", () => { throw new Error("no network"); }],
  ["rejects", async () => { throw new Error("no network"); }],
])
  test(`an onGap that ${how} is told, and Messages go on`, async () => {
    const { client, events } = await server.subscribed({}, { onGap: hook });
    await server.socket.say(gap(1));
    await server.socket.say(message({ n: 1 }));

    assert.deepEqual(client.errors.map(({ message: text }) => text), ["no network"]);
    assert.deepEqual(numbers(events), [1]);
  });

test("an onGap that never ends is left after the timeout", async () => {
  const { client, events } = await server.subscribed({}, { onGap: newHook() });
  await server.socket.say(gap(1));
  await server.socket.say(message({ n: 1 }));
  await tick(10000);

  assert.match(client.errors[0].message, /took too long/);
  assert.deepEqual(numbers(events), [1]);
});

for (const count of [1, 1000])
  test(`a Stream that is removed meanwhile is told after its ${count} Messages`, async () => {
    const onGap = newHook();
    const { events } = await server.subscribed({}, { onGap });
    await server.socket.say(gap(1));
    for (let n = 0; n < count; n += 1) await server.socket.say(message({ n }));
    await server.socket.say({ type: "stream_removed", stream_sid: STREAM.sid });
    onGap.end();
    await settle();

    assert.equal(numbers(events).length, count);
    assert.equal(types(events).at(-1), "removed");
  });

test("an onGap need not be asynchronous", async () => {
  const { client, events } = await server.subscribed({}, { onGap: () => {} });
  await server.socket.say(gap(1));
  await server.socket.say(message({ n: 1 }));

  assert.deepEqual([client.errors, numbers(events)], [[], [1]]);
});

for (const leave of ["unsubscribe", "close"])
  test(`nothing that waits is delivered after ${leave}()`, async () => {
    const onGap = newHook();
    const { client, subscription, events } = await server.subscribed({}, { onGap });
    await server.socket.say(gap(1));
    await server.socket.say(message({ n: 1 }));
    (leave === "close" ? client : subscription)[leave]();
    onGap.end();
    await settle();

    assert.deepEqual(numbers(events), []);
  });

test("a listener that unsubscribes hears nothing more of what waited", async () => {
  const onGap = newHook();
  const { subscription, events } = await server.subscribed({}, { onGap });
  subscription.addEventListener("message", () => subscription.unsubscribe());
  await server.socket.say(gap(1));
  await server.socket.say(message({ n: 1 }));
  await server.socket.say(message({ n: 2 }));
  onGap.end();
  await settle();

  assert.deepEqual(numbers(events), [1]);
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

test("what was published before connecting follows the subscriptions, in order", async () => {
  const client = server.client();
  client.publish("demo", { n: 1 });
  client.publish("demo", { n: 2 });
  client.subscribe("demo", { mode: "open_or_create" });
  assert.equal(client.pending, 2);
  await settle();
  await server.socket.connect();

  const sent = server.socket.frames.slice(1).map(({ type, data }) => data?.n ?? type);
  assert.deepEqual(sent, ["subscribe", 1, 2]);
});

test("a publish may wait longer for a connection than other requests", async () => {
  const client = await server.connected();
  await server.socket.fail();
  const short = assert.rejects(client.publish("demo", {}), { message: "No answer in time" });
  client.publish("demo", { n: 1 }, { timeout: 60000 });
  server.sockets.push(server.socket);
  await tick(20000);
  await short;
  await server.socket.connect();

  assert.deepEqual(server.socket.sent("publish").data, { n: 1 });
});

test("a publish that was refused for its rate is sent again when the server says", async () => {
  const client = await server.connected();
  const published = client.publish("demo", {}, { retry: true });
  await refuseForRate(0.5);
  await tick(499);
  assert.equal(publishes(), 1);
  await tick(1);
  assert.equal(publishes(), 2);
  await server.socket.answer("publish", { type: "published", message_sid: "TZ1" });

  assert.equal((await published).message_sid, "TZ1");
});

test("one that waits out the rate is sent once by the next connection", async () => {
  const client = await server.connected({ backoff: 10 });
  const published = client.publish("demo", {}, { retry: true });
  await refuseForRate(5);
  await server.socket.fail();
  await server.reconnected(10);
  assert.equal(publishes(), 1);
  await tick(5000);
  assert.equal(publishes(), 1);
  await server.socket.answer("publish", { type: "published", message_sid: "TZ1" });

  assert.equal((await published).message_sid, "TZ1");
});

test("one that waits out the rate counts among those that wait, and has its time", async () => {
  const client = await server.connected({ maxPending: 1 });
  const late = assert.rejects(client.publish("demo", {}, { retry: true }), { status: 0 });
  await refuseForRate(60);
  await assert.rejects(client.publish("demo", {}), /Too many requests/);
  await tick(10000);
  await late;
  assert.equal(client.pending, 0);

  await tick(50000);
  assert.equal(publishes(), 1);
});

test("without retry a refusal for the rate rejects, with the time to wait", async () => {
  const client = await server.connected();
  const published = assert.rejects(client.publish("demo", {}), { code: 54009, retryAfter: 0.5 });
  await refuseForRate(0.5);

  await published;
});

test("no other refusal is tried again", async () => {
  const client = await server.connected();
  const published = assert.rejects(client.publish("demo", {}, { retry: true }), { code: 20503 });
  await server.socket.refuse("publish", 20503, 503);

  await published;
});

const refuseForRate = (retry_after) =>
  server.socket.answer("publish", { type: "error", code: 54009, status: 429, message: "no", retry_after });
const publishes = () => server.socket.frames.filter(({ type }) => type === "publish").length;

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

test("a full queue of publishes hinders neither connecting nor heartbeats", async () => {
  const client = server.client({ maxPending: 2, timeout: 60000 });
  for (let n = 0; n < 2; n += 1) client.publish("demo", {}).catch(() => {});
  client.subscribe("demo");
  await settle();
  await server.socket.connect();
  await tick(20000);

  assert.equal(client.state, "connected");
  assert.equal(server.socket.sent("ping").type, "ping");
  assert.equal(server.socket.sent("subscribe").stream, "demo");
});

test("a publish may wait for ever", async () => {
  const client = server.client();
  client.publish("demo", { n: 1 }, { timeout: Infinity });
  await tick(9000);
  await server.socket.connect();

  assert.deepEqual(server.socket.sent("publish").data, { n: 1 });
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

test("a renewal for which the user has left closes the client", async () => {
  const error = new SyncStreamsError("Logged out", { temporary: false });
  const answers = [() => TOKEN, () => Promise.reject(error)];
  const client = await server.connected({ token: () => answers.shift()() });
  await server.socket.say({ type: "token_about_to_expire" });

  assert.deepEqual(client.states.at(-1), { state: "closed", reason: "Logged out", error });
  assert.deepEqual(warnings, ["sync-streams: Logged out"]);
});

test("a renewal that fails is tried again, after growing pauses", async () => {
  let calls = 0;
  const token = async () => {
    calls += 1;
    if ([2, 3].includes(calls)) throw new Error("no network");
    return `token-${calls}`;
  };
  const client = await server.connected({ token });
  await server.socket.say({ type: "token_about_to_expire" });
  for (const pause of [250, 500]) {
    const before = calls;
    await tick(pause - 1);
    assert.equal(calls, before);
    await tick(1);
    assert.equal(calls, before + 1);
  }
  await server.socket.refuse("token", 20503, 503);
  await tick(1000);
  assert.equal(server.socket.sent("token").token, "token-5");
  await server.socket.answer("token", { type: "token_updated" });
  await tick(15000);

  assert.deepEqual([calls, client.state, client.errors], [5, "connected", []]);
});

test("a renewal that fails is left with its connection", async () => {
  let calls = 0;
  const token = () => (++calls === 2 ? Promise.reject(new Error("no network")) : TOKEN);
  await server.connected({ token });
  await server.socket.say({ type: "token_about_to_expire" });
  await server.socket.fail();
  await server.reconnected(250);
  await tick(15000);

  assert.equal(calls, 3);
});

test("a renewed token that is refused is asked for once more, with the refusal", async () => {
  const refusals = [];
  const token = (refusal) => refusals.push(refusal?.code);
  const client = await server.connected({ token });
  await server.socket.say({ type: "token_about_to_expire" });
  await server.socket.refuse("token", 20104, 401);
  await tick(250);
  await server.socket.answer("token", { type: "token_updated" });
  await server.socket.say({ type: "token_about_to_expire" });
  for (let n = 0; n < 2; n += 1) {
    assert.equal(client.state, "connected");
    await server.socket.refuse("token", 20104, 401);
    await tick(250);
  }

  assert.deepEqual(refusals, [undefined, undefined, 20104, undefined, 20104]);
  assert.deepEqual([client.state, client.change.error.code], ["closed", 20104]);
});

test("a listener may close the client when the first attempt fails", async () => {
  const client = server.client();
  client.addEventListener("error", () => client.close());
  await settle();
  await server.socket.refuseHandshake();
  await tick(60000);

  assert.deepEqual(client.states.map(({ state }) => state), ["closed"]);
  assert.equal(server.sockets.length, 1);
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

test("what is asked of a closed client is refused for good", async () => {
  const client = await server.connected();
  client.close();

  await assert.rejects(client.publish("demo", {}), { temporary: false });
});

test("the log tells of every frame, and neither tokens nor data", async () => {
  const lines = [];
  const { client } = await server.subscribed({ debug: (line) => lines.push(line) });
  client.publish("demo", { secret: 1 }).catch(() => {});
  await server.socket.say(message({ secret: 2 }));
  await server.socket.refuse("publish", 54009, 429);
  await server.socket.say(gap(7));

  assert.deepEqual(lines, [
    "> connect 1",
    "< connected 1",
    "connected",
    "> subscribe 2 demo",
    `< subscribed 2 ${STREAM.sid}`,
    "> publish 3 demo",
    `< message ${STREAM.sid}`,
    "< error 3 54009",
    `< gap ${STREAM.sid} 7`,
  ]);
});

test("debug: true writes to the console", async () => {
  const lines = [];
  mock.method(console, "debug", (...words) => lines.push(words.join(" ")));
  await server.connected({ debug: true });

  assert.deepEqual(lines, ["sync-streams > connect 1", "sync-streams < connected 1", "sync-streams connected"]);
});

test("closing before the token is there opens no socket", async () => {
  let give;
  const client = server.client({ token: () => new Promise((resolve) => (give = resolve)) });
  client.close();
  give(TOKEN);
  await settle();

  assert.equal(server.sockets.length, 0);
});
