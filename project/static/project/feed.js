/** The list of Messages, newest first: bounded, drawn in batches, counted exactly. */

import { toNodes, toPlain, toText } from "./json-text.js";

const MAX_SHOWN = 200;
const MAX_MINE = 200; // published here and not seen yet
const DRAW_EVERY_MS = 150;
const MAX_PER_DRAW = 6; // 40 a second: all of one Stream; nobody reads faster
const MAX_LIT = 2; // rows of a batch that light up as they arrive
const MAX_WAITING = 60; // to be drawn: two full seconds of one Stream

export class Feed {
  #queue = []; // entries to draw, oldest first
  #rows = new Map(); // Message SID -> row
  #mine = new Set();
  #total = 0;
  #skipped = 0;
  #isPaused = false;
  #timer = null;

  constructor(elements) {
    this.elements = elements;
    elements.pause.addEventListener("click", () => this.#pause(!this.#isPaused));
    elements.clear.addEventListener("click", () => this.clear());
  }

  /** Count a Message of a Stream, `{ name, colour }`, and show it soon. */
  add({ sid, data }, stream) {
    this.#total += 1;
    this.#enqueue({ sid, data, stream, time: new Date() });
  }

  /** Show a note between the Messages. */
  note(text, stream = null) {
    this.#enqueue({ text, stream, time: new Date() });
  }

  /** Mark a Message as published by this page, even before it is shown. */
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

  #enqueue(entry) {
    this.#queue.push(entry);
    const room = this.#isPaused ? MAX_SHOWN : MAX_WAITING;
    if (this.#queue.length > room && this.#queue.shift().sid) this.#skipped += 1;
    this.#timer ??= setTimeout(() => this.#draw(), DRAW_EVERY_MS);
  }

  #draw(most = MAX_PER_DRAW) {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#count();
    if (this.#isPaused) return this.#label();
    const { list, empty } = this.elements;
    const rows = this.#queue.splice(0, most).map((entry) => this.#toRow(entry));
    for (const row of rows) row.classList.toggle("lit", rows.length <= MAX_LIT);
    list.prepend(...rows.reverse());
    empty.hidden = list.childElementCount > 0;
    while (list.childElementCount > MAX_SHOWN) this.#dropLast(list.lastElementChild);
    if (this.#queue.length) this.#timer = setTimeout(() => this.#draw(), DRAW_EVERY_MS);
    return undefined;
  }

  #dropLast(row) {
    this.#rows.delete(row.dataset.sid);
    row.remove();
  }

  #count() {
    const { total, skipped } = this.elements;
    total.textContent = this.#total.toLocaleString("en");
    skipped.textContent = this.#skipped.toLocaleString("en");
    skipped.parentElement.hidden = !this.#skipped;
  }

  #toRow({ sid, data, text, stream, time }) {
    const row = document.createElement("li");
    const clock = make("time", toClock(time));
    clock.dateTime = time.toISOString();
    row.append(clock, toOrigin(stream));
    if (sid) this.#fill(row, sid, data);
    else row.append(make("p", text));
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
    this.#draw(MAX_SHOWN);
  }

  #label() {
    const held = this.#queue.length;
    const count = held >= MAX_SHOWN ? `${MAX_SHOWN}+` : held;
    const text = held ? `Resume (${count})` : "Resume";
    this.elements.pause.textContent = this.#isPaused ? text : "Pause";
  }
}

function make(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}

function toOrigin(stream) {
  const origin = make("span", stream ? toPlain(stream.name) : "");
  origin.className = "origin";
  if (stream) origin.dataset.colour = stream.colour;
  return origin;
}

function toClock(time) {
  const clock = time.toLocaleTimeString("en-GB");
  return `${clock}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
