/**
 * Live monitor of the admin: an ordinary subscriber, except that it is not counted. It shows
 * Messages as they arrive, with figures beside them.
 *
 * The modules' URLs are in the page, since static files may be renamed when collected.
 */

const FIGURES_MS = 3000;
const SOON_MS = 250;

const root = document.querySelector("#sync-monitor");
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const { client, list, chart, filter } = root.dataset;
const [{ SyncStreams }, { MessageList, make }, { Chart }, { readFilter }] = await Promise.all(
  [client, list, chart, filter].map((url) => import(url)),
);
const texts = read("sync-texts");
const form = root.querySelector(".sync-publish form");

/** Put a Message into the form, to be published again. */
function replay({ message, stream_sid }) {
  const [select, area] = [form.querySelector("select"), form.querySelector("textarea")];
  if (select) select.value = stream_sid;
  area.value = JSON.stringify(message.data, null, 2);
  area.dispatchEvent(new Event("input"));
  form.querySelector("[type=submit]").focus();
}

class Monitor {
  streams = new Map(); // SID -> { subscription, option }
  subscribed = new Set();
  last = null; // figures
  second = 0; // Messages received before this second

  constructor() {
    this.list = new MessageList(root, { texts, readFilter, replay: form && replay });
    const cards = [...root.querySelectorAll("[data-chart]")];
    this.charts = Object.fromEntries(
      cards.map((card) => [card.dataset.chart, new Chart(card, part("table"))]),
    );
    const { socket: url, token } = root.dataset;
    this.client = new SyncStreams({ url, token: () => this.token(token) });
    this.client.addEventListener("state", ({ detail }) => this.showState(detail));
    for (const stream of read("sync-streams")) this.watch(stream);
    setInterval(() => this.tick(), 1000);
    this.timer = setInterval(() => document.hidden || this.ask(), FIGURES_MS);
    this.ask();
  }

  /** Fetch from the admin; a redirect to its login page ends the watch. */
  async fetch(url, options = {}) {
    const answer = await fetch(url, { ...options, redirect: "manual" });
    if (answer.type === "opaqueredirect") this.end(texts.session, "login");
    else if (answer.status === 403) this.end(texts.closed);
    if (!answer.ok) throw new Error(answer.statusText || texts.session);
    return answer.json();
  }

  async token(url) {
    const csrf = root.querySelector("[name=csrfmiddlewaretoken]").value;
    const headers = { "X-CSRFToken": csrf };
    return (await this.fetch(url, { method: "POST", headers })).token;
  }

  end(reason, way) {
    clearInterval(this.timer);
    if (way) part(way).hidden = false;
    this.client.close(reason);
  }

  showState({ state, reason, error }) {
    const why = error?.message ?? texts.reasons[reason] ?? reason;
    part("state").dataset.state = state;
    part("state").textContent = why ? `${texts[state]}: ${why}` : texts[state];
    part("again").hidden = state !== "closed" || !part("login").hidden;
    if (state !== "connected") this.subscribed.clear();
    this.showSubscribed();
  }

  showSubscribed() { root.dataset.subscribed = this.subscribed.size; }

  async ask() {
    const figures = await this.fetch(root.dataset.figures + location.search).catch(() => null);
    if (!figures) return;
    const { streams, dropped, total } = figures;
    const sum = (key) => streams.reduce((all, stream) => all + stream[key], 0);
    const now = { subscribers: sum("subscribers"), refused: sum("refused"), dropped };
    this.first ??= now;
    this.previous = this.last ?? now;
    this.last = now;
    this.follow(streams);
    const [shown, all] = [streams.length, total].map((count) => count.toLocaleString());
    part("watched").textContent = texts.watched.replace("{shown}", shown).replace("{total}", all);
  }

  /** Watch these Streams and no others: new ones may have pushed old ones out. */
  follow(streams) {
    const wanted = new Set(streams.map(({ sid }) => sid));
    for (const [sid, { subscription }] of this.streams)
      if (!wanted.has(sid)) subscription.unsubscribe(), this.forget(sid);
    for (const stream of streams) if (!this.streams.has(stream.sid)) this.watch(stream);
  }

  forget(sid) {
    this.streams.get(sid)?.option.remove();
    this.streams.delete(sid);
    this.subscribed.delete(sid);
    this.showSubscribed();
  }

  askSoon() {
    clearTimeout(this.soon); // many Streams subscribe at once
    this.soon = setTimeout(() => this.ask(), SOON_MS);
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
    if (this.client.state === "closed") return;
    const subscription = this.client.subscribe(sid);
    const option = make("option", "", name);
    option.value = sid;
    root.querySelector("[data-streams]")?.append(option);
    this.streams.set(sid, { subscription, option });
    const end = (text) => {
      this.subscribed.delete(sid); // the rest is removed with the next figures
      option.remove();
      this.list.note(`${name}: ${text}`);
    };
    subscription.addEventListener("subscribed", () => {
      this.subscribed.add(sid);
      this.showSubscribed();
      this.askSoon();
    });
    subscription.addEventListener("message", ({ detail }) =>
      this.list.add({ message: detail, name, stream_sid: sid, at: Date.now() }));
    subscription.addEventListener("gap", ({ detail }) => {
      this.list.addGap(name, detail.dropped);
      this.charts.rate.mark();
    });
    subscription.addEventListener("removed", () => end(texts.removed));
    subscription.addEventListener("error", ({ detail }) => end(detail.message));
  }
}

new Monitor();
