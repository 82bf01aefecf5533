/**
 * Live monitor of the admin: an ordinary subscriber that shows what arrives, and figures
 * beside it. Messages are hostile text: they become text nodes, never markup.
 */

const SHOWN_PER_SECOND = 20;
const MAX_ROWS = 200;
const FLUSH_MS = 250;
const FIGURES_MS = 3000;
const SECONDS = 60; // that a chart shows

const root = document.querySelector("#sync-monitor");
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const texts = read("sync-texts");
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const { SyncStreams } = await import(root.dataset.client);

/** Text with what cannot be seen, or turns text around, written out as JSON does. */
const INVISIBLE =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const plain = (text) =>
  text.replace(INVISIBLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = plain(text);
  return element;
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = make("textarea", "visually-hidden"); // no clipboard without HTTPS
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  return area.remove();
}

/** One minute of one figure: a number, a line on a canvas, a row of the table. */
class Chart {
  constructor(card) {
    this.values = [];
    this.output = card.querySelector("output");
    this.canvas = card.querySelector("canvas");
    this.row = part("table").insertRow();
    this.row.append(make("th", "", card.querySelector("h2").textContent));
    this.row.firstChild.scope = "row";
    for (let cell = 0; cell < 3; cell += 1) this.row.insertCell();
  }

  push(value, number = value) {
    if (this.values.push(value) > SECONDS) this.values.shift();
    this.output.textContent = number.toLocaleString();
    const figures = [value, Math.min(...this.values), Math.max(...this.values)];
    figures.forEach((figure, at) => (this.row.cells[at + 1].textContent = figure.toLocaleString()));
    this.draw();
  }

  draw() {
    const { canvas, values } = this;
    const scale = window.devicePixelRatio;
    const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext("2d");
    const top = Math.max(1, ...values) * 1.1;
    const y = (value) => height - scale - (value / top) * (height - 2 * scale);
    context.clearRect(0, 0, width, height);
    context.beginPath();
    const step = width / (SECONDS - 1);
    const left = width - (values.length - 1) * step;
    values.forEach((value, at) => context.lineTo(left + at * step, y(value)));
    context.strokeStyle = context.fillStyle = getComputedStyle(canvas).color; // of the theme
    context.lineWidth = 1.5 * scale;
    context.stroke();
    context.lineTo(width, height);
    context.lineTo(left, height);
    context.globalAlpha = 0.15;
    context.fill();
    context.globalAlpha = 1;
  }
}

/** The list of Messages: newest first, at most 20 more a second, all of them counted. */
class MessageList {
  counts = { received: 0, shown: 0, skipped: 0, paused: 0 };
  pending = [];
  allowance = SHOWN_PER_SECOND;
  needle = "";
  isPaused = false;

  constructor() {
    this.rows = part("rows");
    part("pause").addEventListener("click", () => this.pause(!this.isPaused));
    part("clear").addEventListener("click", () => this.clear());
    part("filter").addEventListener("input", ({ target }) => this.filter(target.value));
    setInterval(() => this.flush(), FLUSH_MS);
  }

  add(entry) {
    this.counts.received += 1;
    if (this.isPaused) this.counts.paused += 1;
    else if (this.pending.push(entry) > 2 * SHOWN_PER_SECOND) this.skip();
  }

  note(text) { this.show(make("p", "sync-note", text)); }

  skip(kept = SHOWN_PER_SECOND) {
    const rest = this.pending.length - kept;
    if (rest > 0) this.counts.skipped += this.pending.splice(0, rest).length;
  }

  flush() {
    const refill = (SHOWN_PER_SECOND * FLUSH_MS) / 1000;
    this.allowance = Math.min(SHOWN_PER_SECOND, this.allowance + refill);
    this.skip(this.allowance);
    this.allowance -= this.pending.length;
    for (const entry of this.pending.splice(0)) this.showMessage(entry);
    for (const [name, count] of Object.entries(this.counts))
      root.querySelector(`[data-count="${name}"]`).textContent = count.toLocaleString();
  }

  showMessage({ message, name, at }) {
    const text = JSON.stringify(message.data);
    const details = make("details", "");
    const summary = make("summary", "");
    const [date, clock] = [new Date(at), { hour12: false }];
    const time = make("time", "", date.toLocaleTimeString(undefined, clock));
    time.dateTime = date.toISOString();
    summary.append(time, make("span", "sync-name", name), make("code", "", text));
    details.append(summary);
    details.addEventListener("toggle", () => this.open(details, message), { once: true });
    this.counts.shown += 1;
    this.show(details, `${name} ${message.sid} ${text}`.toLowerCase());
  }

  show(content, searched = "") {
    const row = make("li", "");
    row.append(content);
    row.searched = searched;
    row.hidden = !searched.includes(this.needle);
    this.rows.prepend(row);
    while (this.rows.children.length > MAX_ROWS) this.rows.lastChild.remove();
  }

  open(details, { sid, data }) {
    const button = make("button", "button", texts.copy);
    button.type = "button";
    const said = () => (button.textContent = texts.copied);
    button.addEventListener("click", () => copy(plain(JSON.stringify(data))).then(said));
    const head = make("p", "sync-sid", sid);
    head.append(button);
    details.append(head, make("pre", "", JSON.stringify(data, null, 2)));
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    part("pause").textContent = isPaused ? texts.resume : texts.pause;
    part("pause").setAttribute("aria-pressed", String(isPaused));
  }

  clear() {
    this.rows.replaceChildren();
    this.pending = [];
  }

  filter(text) {
    this.needle = text.toLowerCase();
    for (const row of this.rows.children) row.hidden = !row.searched.includes(this.needle);
  }
}

class Monitor {
  streams = new Map(); // SID -> subscription
  last = null; // figures
  second = 0; // Messages received before this second

  constructor() {
    this.list = new MessageList();
    const cards = [...root.querySelectorAll("[data-chart]")];
    this.charts = Object.fromEntries(cards.map((card) => [card.dataset.chart, new Chart(card)]));
    const { socket: url, token } = root.dataset;
    this.client = new SyncStreams({ url, token: () => this.token(token) });
    this.client.addEventListener("state", ({ detail }) => this.showState(detail));
    for (const stream of read("sync-streams")) this.watch(stream);
    setInterval(() => this.tick(), 1000);
    setInterval(() => document.hidden || this.ask(), FIGURES_MS);
    this.ask();
  }

  async token(url) {
    const csrf = root.querySelector("[name=csrfmiddlewaretoken]").value;
    const headers = { "X-CSRFToken": csrf };
    const answer = await fetch(url, { method: "POST", headers, redirect: "error" });
    if (answer.status === 403) this.client.close(texts.closed); // the right was taken away
    if (!answer.ok) throw new Error(answer.statusText);
    return (await answer.json()).token;
  }

  showState({ state, reason, error }) {
    const why = error?.message ?? reason;
    part("state").dataset.state = state;
    part("state").textContent = why ? `${texts[state]}: ${why}` : texts[state];
  }

  async ask() {
    const answer = await fetch(root.dataset.figures, { redirect: "error" }).catch(() => null);
    if (!answer?.ok) return;
    const { streams, dropped } = await answer.json();
    const sum = (key) => streams.reduce((total, stream) => total + stream[key], 0);
    const now = { subscribers: sum("subscribers"), refused: sum("refused"), dropped };
    this.first ??= now;
    this.previous = this.last ?? now;
    this.last = now;
    for (const stream of streams) if (!this.streams.has(stream.sid)) this.watch(stream);
  }

  askSoon() {
    clearTimeout(this.soon); // many subscribe at once
    this.soon = setTimeout(() => this.ask(), FLUSH_MS);
  }

  tick() {
    const { received } = this.list.counts;
    this.charts.rate.push(received - this.second);
    this.second = received;
    if (!this.last) return;
    this.charts.subscribers.push(this.last.subscribers);
    for (const name of ["dropped", "refused"]) {
      const more = Math.max(0, this.last[name] - this.previous[name]);
      this.charts[name].push(more, Math.max(0, this.last[name] - this.first[name]));
    }
    this.previous = this.last;
  }

  watch({ sid, name }) {
    const subscription = this.client.subscribe(sid);
    this.streams.set(sid, subscription);
    const option = make("option", "", name);
    option.value = sid;
    root.querySelector("[data-streams]")?.append(option);
    const end = (text) => (option.remove(), this.list.note(`${name}: ${text}`));
    subscription.addEventListener("subscribed", () => this.askSoon());
    subscription.addEventListener("message", ({ detail }) =>
      this.list.add({ message: detail, name, at: Date.now() }));
    subscription.addEventListener("gap", () => this.list.note(`${name}: ${texts.gap}`));
    subscription.addEventListener("removed", () => end(texts.removed));
    subscription.addEventListener("error", ({ detail }) => end(detail.message));
  }
}

new Monitor();
