/** The page's connection: a client that reconnects, and its state in words. */

const element = (id) => document.getElementById(id);
const place = document.body.dataset;
const { SyncStreams, SyncStreamsError } = await import(new URL(place.client, document.baseURI));

const SETTLED = ["connected", "closed"];
const CLOSED = { disconnected: "by an operator" }; // by reason, where it needs other words

/** Return a client of the JSON socket whose state the page shows. */
export function connect() {
  const client = new SyncStreams({ url: place.socket, token: fetchToken, maxBackoff: 5000 });
  const view = new ConnectionView(client);
  client.addEventListener("state", ({ detail }) => view.show(detail));
  return client;
}

async function fetchToken() {
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
  const answer = await fetch(place.token, {
    method: "POST",
    headers: { "X-CSRFToken": cookie?.[1] ?? place.csrf },
    signal: AbortSignal.timeout(10000),
  });
  const { ok, status } = answer;
  if (!ok) throw new SyncStreamsError(`no access token: HTTP ${status}`, { status });
  return (await answer.json()).token;
}

class ConnectionView {
  #since = Date.now();
  #returns = 0;
  #shown = ["connecting", "", 0];
  #countdown; // timer of the seconds until the next attempt to connect

  constructor(client) {
    this.client = client;
    if (element("connection-facts")) setInterval(() => this.#tellSince(), 1000);
    element("reconnect").addEventListener("click", () => location.reload());
    for (const type of ["online", "offline"]) addEventListener(type, () => this.#again());
  }

  /** Update the state; going offline is shown at once. */
  #again() { this.#showPill(...this.#shown); }

  show({ state, reason = "", retryIn = 0 }) {
    this.#since = Date.now();
    this.#returns += state === "connected" && this.before === "reconnecting";
    this.before = state;
    this.#showPill(state, reason, retryIn);
    this.#showDiagram(state);
    element("identity").textContent = this.client.identity ? `as ${this.client.identity}` : "";
  }

  #showPill(state, reason, retryIn) {
    clearTimeout(this.#countdown);
    this.#shown = [state, reason, 0];
    const isOffline = navigator.onLine === false && state !== "closed";
    const seconds = Math.ceil(retryIn / 1000);
    const later = () => this.#showPill(state, reason, retryIn - 1000);
    if (seconds > 0) this.#countdown = setTimeout(later, 1000);
    const texts = {
      connecting: "Connecting…",
      connected: "Connected",
      reconnecting: seconds > 0 ? `Reconnecting in ${seconds} s` : "Reconnecting…",
      closed: `Disconnected ${CLOSED[reason] ?? `(${reason})`}`,
    };
    const pill = element("connection");
    pill.dataset.state = isOffline ? "offline" : state;
    pill.textContent = isOffline ? "Offline: waiting for the network" : texts[state];
    element("reconnect").hidden = state !== "closed";
    pill.title = reason;
  }

  #showDiagram(state) {
    for (const part of document.querySelectorAll("#states [data-state]"))
      part.classList.toggle("now", part.dataset.state === state);
    if (element("connection-facts")) this.#tellSince();
  }

  #tellSince() {
    const { state } = this.client;
    const since = `${state} for ${toDuration(Date.now() - this.#since)}`;
    const times = this.#returns === 1 ? "once" : `${this.#returns} times`;
    const returned = this.#returns && SETTLED.includes(state) ? `, reconnected ${times}` : "";
    element("connection-facts").textContent = since + returned;
  }
}

function toDuration(ms) {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${seconds} s`;
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
