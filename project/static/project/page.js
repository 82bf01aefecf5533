/** The demo page: one Stream at a time, live; obeys docs/wire-websocket.md. */

import { Editor } from "./editor.js";
import { Feed } from "./feed.js";
import { snippet } from "./snippets.js";

const MAX_RECENT = 8;
const STREAM_SID = /^TO[0-9a-f]{32}$/;

const element = (id) => document.getElementById(id);
const place = element("page").dataset;
const { SyncStreams } = await import(new URL(place.client, document.baseURI));

const feed = new Feed({
  list: element("messages"),
  empty: element("empty"),
  total: element("total"),
  rate: element("rate"),
  spark: element("spark"),
  pause: element("pause"),
  clear: element("clear"),
});
const client = new SyncStreams({ url: place.socket, token: fetchToken, maxBackoff: 5000 });
let subscription = null;
let countdown; // timer of the seconds until the next attempt to connect

// -- connection -------------------------------------------------------------------------

async function fetchToken() {
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
  const answer = await fetch(place.token, {
    method: "POST",
    headers: { "X-CSRFToken": cookie?.[1] ?? place.csrf },
    signal: AbortSignal.timeout(10000),
  });
  if (!answer.ok) throw new Error(`no access token: HTTP ${answer.status}`);
  return (await answer.json()).token;
}

function showState({ state, reason = "", retryIn = 0 }) {
  clearTimeout(countdown);
  const seconds = Math.ceil(retryIn / 1000);
  const later = { state, reason, retryIn: retryIn - 1000 };
  if (seconds > 0) countdown = setTimeout(() => showState(later), 1000);
  const texts = {
    connecting: "Connecting…",
    connected: "Connected",
    reconnecting: seconds > 0 ? `Reconnecting in ${seconds} s` : "Reconnecting…",
    closed: `Disconnected: ${reason}. Reload the page.`,
  };
  const pill = element("connection");
  pill.dataset.state = state;
  pill.textContent = texts[state];
  pill.title = reason;
  element("identity").textContent = client.identity ? `as ${client.identity}` : "";
}

// -- the Stream -------------------------------------------------------------------------

function watch(name) {
  subscription?.unsubscribe();
  feed.reset();
  element("stream-name").value = name;
  element("stream-facts").textContent = "Subscribing…";
  showProblem("");
  const mode = STREAM_SID.test(name) ? undefined : "open_or_create";
  subscription = client.subscribe(name, { mode });
  const on = (type, act) => subscription.addEventListener(type, ({ detail }) => act(detail));
  on("subscribed", (stream) => showStream(name, stream));
  on("message", (message) => feed.add(message));
  on("gap", ({ dropped }) => feed.note(toGap(dropped)));
  on("removed", () => end("This Stream was removed. Watch it again to create it anew."));
  on("error", (error) => end(`${error.message} (${error.code}).`));
  showSnippet();
}

function end(problem) {
  subscription = null;
  element("stream-facts").textContent = "";
  showProblem(problem);
}

function toGap(dropped) {
  if (dropped === null) return "The connection was interrupted: what passed meanwhile is not here.";
  const what = dropped === 1 ? "Message was" : "Messages were";
  return `${dropped} ${what} left out: too many at once.`;
}

function showProblem(text) {
  element("stream-problem").textContent = text;
  element("stream-problem").hidden = !text;
}

function showStream(name, stream) {
  const expires = stream.date_expires && new Date(stream.date_expires).toLocaleString("en-GB");
  const sid = Object.assign(document.createElement("code"), { textContent: stream.sid });
  element("stream-facts").replaceChildren(sid, expires ? `expires ${expires}` : "does not expire");
  document.title = `${stream.unique_name ?? stream.sid} · Sync Streams`;
  remember(name);
  showSnippet();
}

function remember(name) {
  try {
    const before = JSON.parse(localStorage.getItem("recent-streams") ?? "[]");
    const names = [name, ...before.filter((other) => other !== name)].slice(0, MAX_RECENT);
    localStorage.setItem("recent-streams", JSON.stringify(names));
    element("recent").replaceChildren(...names.map((value) => new Option("", value)));
  } catch {
    // Storage that is switched off, or holds something else, costs only the suggestions.
  }
}

function nameInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || "demo";
  } catch {
    return "demo";
  }
}

// -- publishing and code ----------------------------------------------------------------

async function publish(data) {
  if (!subscription) throw new Error("Watch a Stream first");
  const ref = subscription.stream?.sid ?? subscription.ref;
  const { message_sid: sid } = await client.publish(ref, data);
  feed.markMine(sid);
  return sid;
}

function showSnippet() {
  const language = document.querySelector("[name=language]:checked").value;
  element("snippet").textContent = snippet(language, {
    name: subscription?.ref ?? "",
    sid: subscription?.stream?.sid,
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

new Editor(
  {
    form: element("publish-form"),
    text: element("data"),
    button: element("publish-form").querySelector("button"),
    meter: element("data-meter"),
    size: element("data-size"),
    result: element("publish-result"),
    refusal: element("data-problem"),
  },
  publish,
);
client.addEventListener("state", ({ detail }) => showState(detail));
element("languages").addEventListener("change", showSnippet);
element("copy").addEventListener("click", copySnippet);
element("stream-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = element("stream-name").value;
  if (name === nameInAddress()) watch(name);
  else location.hash = encodeURIComponent(name);
});
addEventListener("hashchange", () => watch(nameInAddress()));
watch(nameInAddress());
