// What the demo page decides without a document: good data, safe text, code to copy.

import assert from "node:assert/strict";
import { test } from "node:test";
import { check } from "../../project/static/project/editor.js";
import { toText } from "../../project/static/project/json-text.js";
import { snippet } from "../../project/static/project/snippets.js";

const PLACE = { origin: "http://sync.test", client: "/sync-streams.js", token: "/token" };
const SID = `TO${"1".repeat(32)}`;

test("data of 4,096 bytes is good and of 4,097 is not", () => {
  const text = (bytes) => JSON.stringify({ s: "é" + "x".repeat(bytes - 10) });

  assert.deepEqual([check(text(4096)).bytes, check(text(4096)).problem], [4096, ""]);
  assert.match(check(text(4097)).problem, /^1 byte too many/);
});

test("bytes are those of compact JSON", () => {
  assert.equal(check('{ "a" : 1 }').bytes, 7);
});

for (const text of ["[1]", "null", '"a"', "3"])
  test(`${text} is refused: not an object`, () => {
    assert.match(check(text).problem, /must be an object/);
  });

for (const text of ["{", "{'a': 1}", '{"a": NaN}', '{"a": 1e999}'])
  test(`${text} is refused: not JSON`, () => {
    assert.match(check(text).problem, /^Not JSON/);
  });

test("an empty editor asks for an object", () => {
  assert.match(check(" \n").problem, /^Write a JSON object/);
});

test("a short value stays on one line and a long one is indented", () => {
  assert.equal(toText({ a: [1, { b: null }] }), '{ "a": [ 1, { "b": null } ] }');
  const items = Array(3).fill({ sku: "A-1", text: "x".repeat(20) });
  const item = `    { "sku": "A-1", "text": "${"x".repeat(20)}" }`;
  assert.equal(toText({ items }), `{\n  "items": [\n${[item, item, item].join(",\n")}\n  ]\n}`);
});

test("characters that hide or turn text are written out", () => {
  assert.equal(toText({ a: "\u202eevil\u200b" }), '{ "a": "\\u202eevil\\u200b" }');
});

test("deep data is written without trouble", () => {
  const deep = JSON.parse(`${'{"a":'.repeat(60)}"${"x".repeat(3000)}"${"}".repeat(60)}`);

  assert.deepEqual(JSON.parse(toText(deep)), deep);
});

for (const language of ["curl", "python", "javascript"])
  test(`the ${language} snippet names the Stream and shows no secret`, () => {
    const text = snippet(language, { ...PLACE, name: "demo", sid: SID });

    assert.match(text, /demo/);
    assert.doesNotMatch(text, /undefined|SK[0-9a-f]{32}|AC[0-9a-f]{32}/);
  });

test("a name that would need quoting gives way to the SID", () => {
  for (const name of ['a"; rm -rf /', "../x", "a b", "é", "$(id)"]) {
    const text = snippet("curl", { ...PLACE, name, sid: SID });

    assert.ok(text.includes(`/Streams/${SID}/Messages`), name);
  }
});
