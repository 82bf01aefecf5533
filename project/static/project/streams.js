/** The Streams that the page watches, one of them to publish to; the URL names them. */

import { toPlain } from "./json-text.js";
import { leastUsed } from "./palette.js";
import { Tally } from "./tally.js";

const MAX_STREAMS = 20;
const STREAM_SID = /^TO[0-9a-f]{32}$/;

const number = new Intl.NumberFormat("en");

/** Events: message, gap, current and problem; *detail* holds the Stream as `watched`. */
export class StreamList extends EventTarget {
  items = []; // { name, colour, tally, subscription, row }, in the order of watching
  current = null;

  constructor(client, list) {
    super();
    this.client = client;
    this.list = list;
    addEventListener("hashchange", () => this.readAddress());
  }

  /** Watch exactly the Streams named in the URL. */
  readAddress() {
    const names = namesInAddress();
    for (const item of this.items) if (!names.includes(item.name)) this.#end(item);
    for (const name of names) if (!this.find(name)) this.#begin(name);
    this.choose(this.find(this.chosen) ?? this.items.at(-1));
  }

  /** Watch one more Stream, and choose it. */
  add(name) {
    this.chosen = name;
    if (this.find(name)) return this.choose(this.find(name));
    if (this.items.length >= MAX_STREAMS)
      return this.#tell("problem", { text: `${MAX_STREAMS} Streams at once are enough here.` });
    return this.#write([...this.items.map((item) => item.name), name]);
  }

  find(name) { return this.items.find((item) => item.name === name); }

  /** Publish to this one from now on. */
  choose(item) {
    this.current = item ?? null;
    this.chosen = item?.name;
    if (item) item.row.querySelector("input").checked = true;
    this.#tell("current", { watched: this.current });
  }

  /** End a second of each Stream's count, and show it. */
  tick(seconds) {
    for (const { tally, row } of this.items) {
      tally.tick(seconds);
      row.querySelector(".rate").textContent = `${number.format(tally.rate)}/s`;
      row.querySelector(".count").textContent = number.format(tally.total);
    }
  }

  #begin(name) {
    const mode = STREAM_SID.test(name) ? undefined : "open_or_create";
    const colour = leastUsed(this.items.map((item) => item.colour));
    const item = { name, colour, tally: new Tally(), row: null, subscription: null };
    try {
      item.subscription = this.client.subscribe(name, { mode });
    } catch (error) {
      return this.#tell("problem", { text: `${error.message}.`, name });
    }
    item.row = this.#toRow(item);
    this.items.push(item);
    this.list.append(item.row);
    this.list.dataset.count = this.items.length;
    return this.#listen(item);
  }

  #listen(item) {
    const on = (type, act) =>
      item.subscription.addEventListener(type, ({ detail }) => act(detail));
    const again = "was removed. Watch it again to create a new one.";
    on("message", (message) => {
      item.tally.add();
      this.#tell("message", { watched: item, message });
    });
    on("subscribed", () => {
      item.row.ariaBusy = null;
      if (item === this.current) this.choose(item);
    });
    on("gap", ({ dropped }) => this.#tell("gap", { watched: item, dropped }));
    on("removed", () => this.#lose(item, `The Stream “${toPlain(item.name)}” ${again}`));
    on("error", (error) => this.#lose(item, `${error.message} (${error.code}).`));
  }

  #toRow({ name, colour }) {
    const row = document.getElementById("stream-row").content.firstElementChild.cloneNode(true);
    const plain = toPlain(name);
    row.dataset.colour = colour;
    row.ariaBusy = "true"; // until it is subscribed
    row.querySelector("bdi").textContent = plain;
    row.querySelector("button").ariaLabel = `Stop watching ${plain}`;
    row.querySelector("input").addEventListener("change", () => this.choose(this.find(name)));
    row.querySelector("button").addEventListener("click", () => this.#drop(name));
    return row;
  }

  #drop(name) {
    // The button disappears with its row: move the focus to another.
    this.items.find((item) => item.name !== name)?.row.querySelector("input").focus();
    this.#write(this.items.map((item) => item.name).filter((other) => other !== name));
  }

  #lose(item, text) {
    this.#end(item);
    const names = this.items.map(({ name }) => encodeURIComponent(name));
    history.replaceState(null, "", `#${names.join(",")}`);
    this.choose(item === this.current ? this.items.at(-1) : this.current);
    this.#tell("problem", { text, name: item.name });
  }

  #end(item) {
    if (!item.subscription.ended) item.subscription.unsubscribe();
    item.row.remove();
    this.items = this.items.filter((other) => other !== item);
    this.list.dataset.count = this.items.length;
  }

  #write(names) { location.hash = names.map(encodeURIComponent).join(","); }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}

/** Read the names in the URL, each once. */
export function namesInAddress(hash = location.hash) {
  const names = hash.slice(1).split(",").map(decode).filter(Boolean);
  return [...new Set(names.length ? names : ["demo"])].slice(0, MAX_STREAMS);
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
