// What the demo pages count, and whom they believe.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Latency, toMs } from "../../project/static/project/latency.js";
import { newId, readPointer, toName } from "../../project/static/project/pointer.js";
import { Tally } from "../../project/static/project/tally.js";

const POINTER = { id: "a1", name: "Ada", colour: 3, x: 0, y: 1, mark: false };

/** A Latency, its clock, and a publish whose answer the test gives. */
function setUp() {
  const clock = { now: 0 };
  let answer;
  const publish = () => new Promise((resolve) => (answer = resolve));
  const latency = new Latency(() => clock.now);
  return { clock, latency, publish, answer: (sid) => answer(sid) };
}

test("latency lasts until the Message is seen, after its answer", async () => {
  const { clock, latency, publish, answer } = setUp();
  const published = latency.follow(publish);
  answer("TZ1");
  await published;

  clock.now = 8;
  latency.seen("TZ0");
  latency.seen("TZ1");
  clock.now = 20;
  latency.seen("TZ1");

  assert.deepEqual(latency.samples, [8]);
});

test("latency lasts until the Message is seen, before its answer", async () => {
  const { clock, latency, publish, answer } = setUp();
  const published = latency.follow(publish);

  clock.now = 5;
  latency.seen("TZ1");
  clock.now = 9;
  answer("TZ1");
  await published;

  assert.deepEqual(latency.samples, [5]);
});

test("a publish that is refused leaves nothing behind", async () => {
  const { latency } = setUp();

  await assert.rejects(latency.follow(() => Promise.reject(new Error("refused"))));
  latency.seen("TZ1");

  assert.deepEqual(latency.samples, []);
});

test("median and last are those of the latest 200", async () => {
  const { clock, latency } = setUp();
  for (let took = 1; took <= 300; took += 1) {
    clock.now = 0;
    await latency.follow(async () => `TZ${took}`);
    clock.now = took;
    latency.seen(`TZ${took}`);
  }

  assert.deepEqual([latency.samples.length, latency.last, latency.median], [200, 300, 201]);
});

for (const [ms, text] of [[undefined, "–"], [1.234, "1.2 ms"], [56.7, "57 ms"], [1234, "1,234 ms"]])
  test(`${ms} milliseconds read ${text}`, () => assert.equal(toMs(ms), text));

test("a tally keeps a minute and counts what a sleeping tab missed once", () => {
  const tally = new Tally();
  for (let n = 0; n < 12; n += 1) tally.add();

  tally.tick(3);

  assert.deepEqual(tally.history.slice(-4), [0, 4, 4, 4]);
  assert.deepEqual([tally.total, tally.rate, tally.history.length], [12, 4, 60]);
  tally.tick(1000);
  assert.deepEqual([tally.rate, tally.history.length], [0, 60]);
});

test("a pointer is read as it was written", () => {
  assert.deepEqual(readPointer(POINTER), POINTER);
});

for (const wrong of [{ id: 1 }, { id: "" }, { id: "x".repeat(33) }, { x: "0" }, { x: -0.1 }, { y: 1.1 }, { y: NaN }])
  test(`${JSON.stringify(wrong)} makes it no pointer`, () => {
    assert.equal(readPointer({ ...POINTER, ...wrong }), null);
  });

test("what else is odd about a pointer is put right", () => {
  const odd = { ...POINTER, name: "x".repeat(99), colour: 10, mark: "yes" };

  assert.deepEqual(readPointer(odd), { ...POINTER, name: "x".repeat(24), colour: 0 });
  assert.equal(readPointer({ ...POINTER, name: {} }).name, "nobody");
});

test("every id has a name", () => {
  for (let n = 0; n < 50; n += 1) assert.match(toName(newId()), /^[A-Z][a-z]+ [a-z]+$/);
});
