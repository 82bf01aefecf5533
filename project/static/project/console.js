/** The console: several Streams live, publishing, figures, code; see docs/wire-websocket.md. */

import { connect } from "./connection.js";
import { Editor } from "./editor.js";
import { Feed } from "./feed.js";
import { toPlain } from "./json-text.js";
import { Latency, toMs } from "./latency.js";
import { Repeater } from "./repeater.js";
import { snippet } from "./snippets.js";
import { StreamList } from "./streams.js";
import { eachSecond } from "./tally.js";
import { Throughput } from "./throughput.js";
import { Together } from "./together.js";

const MAX_RECENT = 8;
const SAME_INTERRUPTION_MS = 3000;

const element = (id) => document.getElementById(id);
const client = connect();
const latency = new Latency();
const throughput = new Throughput(element("throughput"));
const streams = new StreamList(client, element("streams"));
const feed = new Feed({
  list: element("messages"),
  empty: element("empty"),
  total: element("total"),
  skipped: element("skipped"),
  pause: element("pause"),
  clear: element("clear"),
});
let interruptedAt = -Infinity;

// -- what arrives -----------------------------------------------------------------------

function showMessage({ watched, message }) {
  latency.seen(message.sid);
  feed.add(message, watched);
}

function showGap({ watched, dropped }) {
  if (dropped !== null) return feed.note(toGap(dropped), watched);
  if (performance.now() - interruptedAt < SAME_INTERRUPTION_MS) return undefined;
  interruptedAt = performance.now(); // once, however many Streams report it
  return feed.note("The connection was interrupted. Messages published meanwhile are not shown.");
}

function toGap(dropped) {
  const what = dropped === 1 ? "Message was" : "Messages were";
  return `${dropped} ${what} left out: too many at once.`;
}

function showFigures(seconds) {
  streams.tick(seconds);
  throughput.show(streams.items.map(({ tally, colour }) => ({ ...tally, colour })));
  const rate = streams.items.reduce((sum, { tally }) => sum + tally.rate, 0);
  element("rate").textContent = rate.toLocaleString("en");
  element("latency-median").textContent = toMs(latency.median);
  element("latency-last").textContent = toMs(latency.last);
  element("latency-count").textContent = latency.samples.length.toLocaleString("en");
}

// -- the Streams ------------------------------------------------------------------------

function showCurrent({ watched }) {
  element("messages").dataset.streams = streams.items.length;
  const stream = watched?.subscription.stream;
  element("target").textContent = watched ? toPlain(watched.name) : "";
  element("target").dataset.colour = watched?.colour ?? "";
  element("stream-facts").replaceChildren(...(watched ? toFacts(stream) : []));
  document.title = watched ? `${toPlain(watched.name)} · Sync Streams` : "Sync Streams";
  if (stream) remember(watched.name);
  showSnippet();
}

function toFacts(stream) {
  if (!stream) return ["Subscribing…"];
  const expires = stream.date_expires && new Date(stream.date_expires).toLocaleString("en-GB");
  const sid = Object.assign(document.createElement("code"), { textContent: stream.sid });
  return [sid, expires ? `expires ${expires}` : "does not expire"];
}

function showProblem({ text, name }) {
  element("stream-problem").textContent = text;
  element("stream-problem").hidden = !text;
  if (name) element("stream-name").value = name;
}

function addStream(event) {
  event.preventDefault();
  const name = element("stream-name").value;
  element("stream-name").value = "";
  showProblem({ text: "" });
  streams.add(name);
}

function remember(name) {
  try {
    const before = JSON.parse(localStorage.getItem("recent-streams") ?? "[]");
    const names = [name, ...before.filter((other) => other !== name)].slice(0, MAX_RECENT);
    localStorage.setItem("recent-streams", JSON.stringify(names));
    element("recent").replaceChildren(...names.map((value) => new Option("", value)));
  } catch {
    // If storage is disabled or holds something else, only the suggestions are missing.
  }
}

// -- publishing and code ----------------------------------------------------------------

async function publish(data) {
  if (!streams.current) throw new Error("Watch a Stream first");
  const { subscription } = streams.current;
  const ref = subscription.stream?.sid ?? subscription.ref;
  const send = async () => (await client.publish(ref, data)).message_sid;
  const sid = await latency.follow(send);
  feed.markMine(sid);
  return sid;
}

function toWait() {
  if (navigator.onLine === false) return "Waiting: this device is offline.";
  return client.state === "connected" ? "Waiting for the answer…" : "Waiting for the connection…";
}

function showSnippet() {
  const language = document.querySelector("[name=language]:checked").value;
  const place = document.body.dataset;
  element("snippet").textContent = snippet(language, {
    name: streams.current?.name ?? "",
    sid: streams.current?.subscription.stream?.sid,
    origin: location.origin,
    client: new URL(place.client, document.baseURI).href,
    token: place.token,
  });
}

async function copySnippet() {
  const button = element("copy");
  try {
    await navigator.clipboard.writeText(element("snippet").textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(element("snippet"));
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

const editor = new Editor(
  {
    form: element("publish-form"),
    text: element("data"),
    button: element("publish-form").querySelector("button"),
    meter: element("data-meter"),
    size: element("data-size"),
    result: element("publish-result"),
    refusal: element("data-problem"),
  },
  { publish, wait: () => toWait(), repeat: () => repeater.start() },
);
const repeater = new Repeater(
  {
    pace: element("pace"),
    start: element("publish-form").querySelector("[type=submit]"),
    stop: element("stop"),
    result: element("pace-result"),
  },
  { client, publish, read: () => editor.data },
);
streams.addEventListener("message", ({ detail }) => showMessage(detail));
streams.addEventListener("gap", ({ detail }) => showGap(detail));
streams.addEventListener("current", ({ detail }) => showCurrent(detail));
streams.addEventListener("problem", ({ detail }) => showProblem(detail));
element("stream-form").addEventListener("submit", addStream);
element("languages").addEventListener("change", showSnippet);
element("copy").addEventListener("click", copySnippet);
eachSecond(showFigures);
showFigures(1);
streams.readAddress();
new Together(client, {
  surface: element("stage"),
  canvas: element("trails"),
  hint: element("stage-hint"),
  latency: element("pointer-latency"),
});
