// How the demo pages share a Stream's rate: no clock but the test's own.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Pacer } from "../../project/static/project/pacer.js";
import { Participant } from "../../project/static/project/participant.js";

const LIMIT = 30;

/** A Stream as the server has it: at most 30 in any second. */
class Stream {
  log = [];

  /** Return the seconds to wait, 0 where the Message is taken. */
  take(now) {
    const oldest = this.log.at(-LIMIT);
    if (oldest !== undefined && now - oldest < 1000) return (1000 - (now - oldest)) / 1000;
    this.log.push(now);
    return 0;
  }
}

/** Let *count* publish for some seconds as fast as they may; return what came of it. */
function play(count, { seconds, sharers = count }) {
  let now = 0;
  const stream = new Stream();
  const all = Array.from({ length: count }, () => {
    const pacer = new Pacer(LIMIT, () => now);
    return Object.assign(pacer, { sharers, taken: 0, refusals: 0 });
  });
  for (; now < 1000 * seconds; now += 1)
    for (const pacer of all) if (pacer.wait === 0) publish(pacer, stream.take(now));
  return all;
}

function publish(pacer, wait) {
  pacer.sent();
  pacer[wait ? "refusals" : "taken"] += 1;
  if (wait) pacer.refused(wait);
  else pacer.accepted();
}

for (const count of [1, 2, 3, 4, 7, 15])
  test(`${count} who know of each other are never refused and take equal shares`, () => {
    const all = play(count, { seconds: 20 });

    const share = Math.floor(LIMIT / count);
    for (const { taken, refusals } of all) {
      assert.equal(refusals, 0);
      assert.ok(taken > 20 * share * 0.9 && taken <= 20 * share, `${taken} of ${20 * share}`);
    }
  });

test("one alone publishes almost as fast as the Stream takes", () => {
  assert.ok(play(1, { seconds: 10 })[0].taken >= 285);
});

test("three who do not know of each other slow down and leave one another room", () => {
  const all = play(3, { seconds: 60, sharers: 1 });

  const total = all.reduce((sum, { taken }) => sum + taken, 0);
  assert.ok(total > 60 * LIMIT * 0.8, `${total} taken`);
  for (const { taken, refusals } of all) {
    assert.ok(taken > (total / 3) * 0.6, `${taken} of ${total}`);
    assert.ok(refusals < taken / 2, `${refusals} refused, ${taken} taken`);
  }
});

test("who was refused waits as long as the server says", () => {
  const pacer = new Pacer(LIMIT, () => 0);

  pacer.refused(0.7);

  assert.ok(pacer.wait >= 700);
});

test("the pace comes back in the seconds after a refusal", () => {
  let now = 0;
  const pacer = new Pacer(LIMIT, () => now);
  const before = pacer.interval;

  pacer.refused(0.1);
  assert.ok(pacer.interval > before);
  for (now = 0; now < 3000; now += 100) pacer.accepted();

  assert.equal(pacer.interval, before);
});

test("the latest place is published in the end, no sooner than the server says", async () => {
  const refusal = Object.assign(new Error("Rate limit exceeded"), { status: 429, retryAfter: 0.1 });
  const calls = [];
  await new Promise((resolve) => {
    const one = new Participant(async (data) => {
      calls.push({ x: data.x, at: performance.now() });
      if (calls.length === 1) throw refusal;
      resolve();
    });
    one.move({ x: 0.25, y: 0.5 });
  });

  assert.deepEqual(calls.map(({ x }) => x), [0.25, 0.25]);
  assert.ok(calls[1].at - calls[0].at >= 95, `${calls[1].at - calls[0].at} ms`);
});
