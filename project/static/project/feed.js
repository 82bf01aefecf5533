/** The list of Messages, newest first: bounded, drawn in batches, counted exactly. */

import { toNodes, toText } from "./json-text.js";

const MAX_SHOWN = 200;
const MAX_MINE = 200; // published here and not seen yet
const DRAW_EVERY_MS = 60;
const SPARK_SECONDS = 60;

export class Feed {
  #queue = []; // entries to draw, oldest first
  #rows = new Map(); // Message SID -> row
  #mine = new Set();
  #counts = new Array(SPARK_SECONDS).fill(0);
  #total = 0;
  #sinceTick = 0;
  #tickedAt = performance.now();
  #isPaused = false;
  #timer = null;

  constructor(elements) {
    this.elements = elements;
    elements.pause.addEventListener("click", () => this.#pause(!this.#isPaused));
    elements.clear.addEventListener("click", () => this.clear());
    setInterval(() => this.#tick(), 1000);
  }

  /** Count a Message and show it soon. */
  add({ sid, data }) {
    this.#total += 1;
    this.#sinceTick += 1;
    this.elements.total.textContent = this.#total.toLocaleString("en");
    this.#enqueue({ sid, data, time: new Date() });
  }

  /** Show a remark between the Messages. */
  note(text) {
    this.#enqueue({ text, time: new Date() });
  }

  /** Mark a Message as published by this page, whether it was shown already or not. */
  markMine(sid) {
    const row = this.#rows.get(sid);
    if (row) row.classList.add("mine");
    else if (this.#mine.size < MAX_MINE) this.#mine.add(sid);
  }

  clear() {
    this.#queue = [];
    this.#rows.clear();
    this.elements.list.replaceChildren();
    this.elements.empty.hidden = false;
    this.#label();
  }

  /** Start anew, for another Stream. */
  reset() {
    this.#total = this.#sinceTick = 0;
    this.#mine.clear();
    this.elements.total.textContent = "0";
    this.#counts.fill(0);
    this.#pause(false);
    this.clear();
    this.#tick();
  }

  #enqueue(entry) {
    this.#queue.push(entry);
    if (this.#queue.length > MAX_SHOWN) this.#queue.shift();
    if (this.#isPaused) this.#label();
    else this.#timer ??= setTimeout(() => this.#draw(), DRAW_EVERY_MS);
  }

  #draw() {
    this.#timer = null;
    if (this.#isPaused) return;
    const { list, empty } = this.elements;
    const rows = this.#queue.splice(0).reverse().map((entry) => this.#toRow(entry));
    list.prepend(...rows);
    empty.hidden = list.childElementCount > 0;
    while (list.childElementCount > MAX_SHOWN) {
      this.#rows.delete(list.lastElementChild.dataset.sid);
      list.lastElementChild.remove();
    }
  }

  #toRow({ sid, data, text, time }) {
    const row = document.createElement("li");
    const clock = document.createElement("time");
    clock.dateTime = time.toISOString();
    clock.textContent = toClock(time);
    row.append(clock);
    if (sid) this.#fill(row, sid, data);
    else row.append(Object.assign(document.createElement("p"), { textContent: text }));
    row.classList.toggle("note", !sid);
    return row;
  }

  #fill(row, sid, data) {
    const code = document.createElement("code");
    code.append(...toNodes(toText(data)));
    row.append(code);
    row.dataset.sid = row.title = sid;
    row.classList.toggle("mine", this.#mine.delete(sid));
    this.#rows.set(sid, row);
  }

  #pause(isPaused) {
    this.#isPaused = isPaused;
    this.elements.pause.setAttribute("aria-pressed", String(isPaused));
    this.#label();
    this.#draw();
  }

  #label() {
    const held = this.#queue.length;
    const count = held >= MAX_SHOWN ? `${MAX_SHOWN}+` : held;
    const text = held ? `Resume (${count})` : "Resume";
    this.elements.pause.textContent = this.#isPaused ? text : "Pause";
  }

  #tick() {
    // A tab in the background ticks less often than once a second.
    const now = performance.now();
    const seconds = Math.max(1, Math.round((now - this.#tickedAt) / 1000));
    const rate = this.#sinceTick / seconds;
    this.#counts.push(...new Array(Math.min(seconds, SPARK_SECONDS)).fill(rate));
    this.#counts.splice(0, this.#counts.length - SPARK_SECONDS);
    this.#sinceTick = 0;
    this.#tickedAt = now;
    this.elements.rate.textContent = Math.round(rate).toLocaleString("en");
    this.elements.spark.setAttribute("d", toPath(this.#counts));
  }
}

function toClock(time) {
  const clock = time.toLocaleTimeString("en-GB");
  return `${clock}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

function toPath(counts) {
  const scale = 9 / Math.max(10, ...counts);
  const bar = (count, x) => `M${x + 0.15} 10v-${(count * scale).toFixed(2)}h.7V10z`;
  return counts.map((count, x) => (count ? bar(count, x) : "")).join("");
}
