/**
 * The monitor's list of Messages: newest first, at most 20 more a second, all of them
 * counted. Messages are hostile text: they become text nodes, never markup.
 */

const SHOWN_PER_SECOND = 20;
const MAX_ROWS = 200;
const MAX_PINNED = 20;
const FLUSH_MS = 250;

/** Text with invisible and direction-changing characters escaped, as in JSON. */
const INVISIBLE =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const plain = (text) =>
  text.replace(INVISIBLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Return an element that shows *text*, with nothing in it invisible. */
export function make(tag, className, text = "") {
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

function save(text, name) {
  const link = make("a", "");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

export class MessageList {
  counts = { received: 0, shown: 0, skipped: 0, paused: 0, lost: 0 };
  pending = [];
  gaps = new Map(); // name of a Stream -> Messages lost; null: unknown
  allowance = SHOWN_PER_SECOND;
  matches = () => true;
  isPaused = false;

  /** *readFilter* turns text into a test of rows; *replay* takes an entry, or is null. */
  constructor(root, { texts, readFilter, replay }) {
    Object.assign(this, { root, texts, readFilter, replay });
    this.rows = this.part("rows");
    this.pinned = this.part("pinned");
    this.part("pause").addEventListener("click", () => this.pause(!this.isPaused));
    this.part("clear").addEventListener("click", () => this.clear());
    this.part("export").addEventListener("click", () => this.export());
    this.part("filter").addEventListener("input", ({ target }) => this.filter(target.value));
    setInterval(() => this.flush(), FLUSH_MS);
    this.showEmpty();
  }

  part(name) { return this.root.querySelector(`[data-part="${name}"]`); }

  add(entry) {
    this.counts.received += 1;
    if (this.isPaused) this.counts.paused += 1;
    else if (this.pending.push(entry) > 2 * SHOWN_PER_SECOND) this.skip();
  }

  /** Report that Messages of a Stream are missing; *dropped* is null if unknown. */
  addGap(name, dropped) {
    const before = this.gaps.get(name) ?? 0;
    this.gaps.set(name, dropped === null ? null : before + dropped);
    this.counts.lost += dropped ?? 0;
  }

  note(text, className = "sync-note") {
    this.show(make("p", className, text), { searched: text.toLowerCase(), data: null });
  }

  skip(kept = SHOWN_PER_SECOND) {
    const rest = this.pending.length - kept;
    if (rest > 0) this.counts.skipped += this.pending.splice(0, rest).length;
  }

  flush() {
    const refill = (SHOWN_PER_SECOND * FLUSH_MS) / 1000;
    this.allowance = Math.min(SHOWN_PER_SECOND, this.allowance + refill);
    this.skip(this.allowance);
    this.allowance -= this.pending.length;
    if (this.gaps.size) this.noteGaps();
    for (const entry of this.pending.splice(0)) this.showMessage(entry);
    for (const [name, count] of Object.entries(this.counts))
      this.root.querySelector(`[data-count="${name}"]`).textContent = count.toLocaleString();
    this.showEmpty();
  }

  noteGaps() {
    const { gap, interrupted } = this.texts;
    const [[name, dropped]] = this.gaps;
    const where = this.gaps.size > 1 ? `${name} (+${this.gaps.size - 1})` : name;
    const total = [...this.gaps.values()].reduce((sum, count) => sum + count, 0);
    const isCounted = dropped !== null && total > 0;
    const text = isCounted ? `${gap}: ${total.toLocaleString()}` : interrupted;
    this.note(`${where}: ${text}`, "sync-note sync-gap");
    this.gaps.clear();
  }

  showMessage(entry) {
    const { message, name, at } = entry;
    const text = JSON.stringify(message.data);
    const details = make("details", "");
    const summary = make("summary", "");
    const [date, clock] = [new Date(at), { hour12: false }];
    const time = make("time", "", date.toLocaleTimeString(undefined, clock));
    time.dateTime = date.toISOString();
    summary.append(time, make("span", "sync-name", name), make("code", "", text));
    details.append(summary);
    details.addEventListener("toggle", () => this.open(details, entry), { once: true });
    this.counts.shown += 1;
    const searched = `${name} ${message.sid} ${text}`.toLowerCase();
    this.show(details, { searched, data: message.data, entry });
  }

  show(content, facts) {
    const row = Object.assign(make("li", ""), { facts });
    row.append(content);
    row.hidden = !this.matches(facts);
    this.rows.prepend(row);
    while (this.rows.children.length > MAX_ROWS) this.removeOldest();
  }

  /** Remove the last row, or the one before if the last has the focus. */
  removeOldest() {
    const last = this.rows.lastChild;
    (last.contains(document.activeElement) ? last.previousSibling : last).remove();
  }

  open(details, entry) {
    const { sid, data } = entry.message;
    const head = make("p", "sync-sid", sid);
    const button = (text, act) => {
      const made = make("button", "button", text);
      made.type = "button";
      made.addEventListener("click", () => act(made));
      head.append(made);
    };
    const { copy: copyText, copied, pin, unpin, replay } = this.texts;
    button(copyText, (made) =>
      copy(plain(JSON.stringify(data))).then(() => (made.textContent = copied)));
    button(pin, (made) => (made.textContent = this.pin(details) ? unpin : pin));
    if (this.replay) button(replay, () => this.replay(entry));
    details.append(head, make("pre", "", JSON.stringify(data, null, 2)));
  }

  /** Move a row to the pinned ones, or back; return whether it is pinned. */
  pin(details) {
    const row = details.closest("li");
    const isPinned = row.parentElement !== this.pinned;
    const focused = document.activeElement;
    (isPinned ? this.pinned : this.rows).prepend(row);
    while (this.pinned.children.length > MAX_PINNED) this.pinned.lastChild.remove();
    this.pinned.parentElement.hidden = !this.pinned.children.length;
    focused?.focus();
    this.showEmpty();
    return isPinned;
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    this.part("pause").textContent = isPaused ? this.texts.resume : this.texts.pause;
    this.part("pause").setAttribute("aria-pressed", String(isPaused));
    this.showEmpty();
  }

  clear() {
    this.rows.replaceChildren();
    this.pending = [];
    this.showEmpty();
  }

  filter(text) {
    const matches = this.readFilter(text);
    this.part("filter").setAttribute("aria-invalid", String(!matches));
    this.part("filter-problem").hidden = Boolean(matches);
    this.matches = matches ?? (() => true);
    for (const row of this.rows.children) row.hidden = !this.matches(row.facts);
    this.showEmpty();
  }

  showEmpty() {
    const rows = [...this.rows.children];
    const { empty, unmatched, halted } = this.texts;
    const text = rows.length ? unmatched : this.isPaused ? halted : empty;
    const place = this.part("empty");
    place.hidden = rows.some((row) => !row.hidden);
    if (place.textContent !== text) place.textContent = text;
  }

  /** Save the Messages on screen, oldest first, as one JSON object per line. */
  export() {
    const rows = [...this.pinned.children, ...this.rows.children];
    const entries = rows.filter((row) => !row.hidden && row.facts.entry);
    const lines = entries.map(({ facts: { entry: { message, name, stream_sid, at } } }) =>
      ({ received: new Date(at).toISOString(), stream: name, stream_sid, ...message }));
    lines.sort((one, other) => one.received.localeCompare(other.received));
    const text = lines.map((line) => `${plain(JSON.stringify(line))}\n`).join("");
    save(text, `messages-${new Date().toISOString().replaceAll(":", "")}.jsonl`);
  }
}
