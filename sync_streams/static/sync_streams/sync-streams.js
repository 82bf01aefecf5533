/**
 * Browser client of the JSON socket: Streams of Messages, live, over one WebSocket.
 * Obeys docs/wire-websocket.md. One module without imports, for pages and workers.
 */

const MAX_FRAME_BYTES = 65536;
const MAX_ASKING = 8; // subscribe requests in flight: 2,000 at once would be refused
const STEADY_MS = 10000; // a connection that lived this long starts the back-off anew
const TIMES = { timeout: 10000, heartbeat: 20000, backoff: 500, maxBackoff: 30000 }; // ms

const emit = (target, type, detail) => target.dispatchEvent(new CustomEvent(type, { detail }));

/** A request that was refused, or (status 0) not answered. */
export class SyncStreamsError extends Error {
  constructor(message, { code = 0, status = 0, more_info, retry_after } = {}) {
    super(message);
    this.name = "SyncStreamsError";
    Object.assign(this, { code, status, moreInfo: more_info, retryAfter: retry_after });
  }

  get temporary() { return this.status === 0 || this.status === 429 || this.status >= 500; }
}

/** Interest in one Stream; events: subscribed, message, gap, removed, error. */
export class Subscription extends EventTarget {
  constructor(ref, mode, unsubscribe) {
    super();
    Object.assign(this, { ref, mode, stream: null, ended: false });
    this.unsubscribe = () => unsubscribe(this);
  }
}

/** One connection that keeps itself up; events: state, token_about_to_expire, error. */
export class SyncStreams extends EventTarget {
  state = "connecting";
  identity = null;
  #link = null; // the connection, or the attempt at one, that counts now
  #pending = new Map(); // request id -> request
  #subscriptions = new Set();
  #waiting = new Set(); // Subscriptions that the server has yet to hear of
  #asking = 0;
  #lastId = 0;
  #attempt = 0;
  #closed = new AbortController();

  constructor({ url, token, WebSocket = globalThis.WebSocket, ...options }) {
    super();
    this.url = new URL(url, globalThis.document?.baseURI);
    this.url.protocol = this.url.protocol.replace("http", "ws");
    this.token = token;
    this.options = { ...TIMES, maxPending: 1000, WebSocket, ...options };
    for (const type of ["online", "offline", "pageshow", "visibilitychange"])
      globalThis.addEventListener?.(type, this.#wake, { signal: this.#closed.signal });
    this.#connect();
  }

  subscribe(ref, { mode } = {}) {
    if (this.state === "closed") throw new SyncStreamsError("The client is closed");
    const subscription = new Subscription(ref, mode, (ended) => this.#unsubscribe(ended));
    this.#subscriptions.add(subscription);
    this.#ask(subscription);
    return subscription;
  }

  publish(ref, data) { return this.#request({ type: "publish", stream: ref, data }); }

  close(reason = "closed by the page", error = undefined) {
    if (this.state === "closed") return;
    clearTimeout(this.retry);
    this.#closed.abort();
    this.#drop(this.#link, reason, () => true);
    for (const subscription of this.#subscriptions) this.#forget(subscription);
    this.#setState("closed", { reason, error });
  }

  async #connect() {
    clearTimeout(this.retry);
    const link = (this.#link = { since: Infinity, seen: 0 });
    link.deadline = setTimeout(() => this.#lose(link, "no answer"), this.options.timeout);
    try {
      link.token = await this.#currentToken();
      if (link === this.#link) this.#connected(link, await this.#open(link));
    } catch (error) {
      link.error = error; // "closing" follows when the server says so
      if (!link.socket) this.#lose(link, error.message);
    }
  }

  #currentToken = async () => (typeof this.token === "function" ? this.token() : this.token);

  async #open(link) {
    const socket = (link.socket = new this.options.WebSocket(this.url.href, "sync-streams.v1"));
    socket.onmessage = ({ data }) => link === this.#link && this.#receive(link, data);
    socket.onclose = ({ reason }) => this.#lose(link, reason || "connection lost");
    await new Promise((resolve) => (socket.onopen = resolve));
    return this.#request({ type: "connect", token: link.token }, link);
  }

  #connected(link, { identity }) {
    clearTimeout(link.deadline);
    link.heartbeat = setInterval(() => this.#probe(link), this.options.heartbeat);
    link.since = Date.now();
    this.identity = identity;
    this.#setState("connected");
    for (const request of this.#pending.values()) if (!request.link) this.#send(link, request);
    this.#ask();
  }

  #lose(link, reason) {
    if (link !== this.#link) return undefined;
    this.#drop(link, reason, (request) => request.link);
    const { reconnect_after: pause, reason: why = reason } = link.closing ?? {};
    const isUnlucky = link.since === Infinity && (link.error?.temporary ?? true);
    if (pause === null && !isUnlucky) return this.close(why, link.error);
    if (Date.now() - link.since > STEADY_MS) this.#attempt = 0;
    const { backoff, maxBackoff } = this.options;
    const ceiling = Math.min(maxBackoff, backoff * 2 ** this.#attempt++);
    const retryIn = (pause ?? 0) * 1000 + Math.random() * ceiling;
    this.retry = setTimeout(() => this.#connect(), retryIn);
    return this.#setState("reconnecting", { reason: why, retryIn });
  }

  #drop(link, reason, isLost) {
    this.#link = null;
    this.#waiting = new Set(this.#subscriptions);
    clearTimeout(link?.deadline);
    clearInterval(link?.heartbeat);
    link?.socket?.close();
    for (const [id, request] of this.#pending)
      if (isLost(request)) this.#refuse(id, new SyncStreamsError(reason));
  }

  #setState(state, detail) {
    emit(this, "state", { state: (this.state = state), ...detail });
  }

  #probe(link) {
    const asked = Date.now();
    const isDead = () => link.seen < asked && this.#lose(link, "no answer");
    this.#request({ type: "ping" }).catch(isDead);
  }

  #wake = () => {
    if (globalThis.document?.hidden || globalThis.navigator?.onLine === false) return;
    if (this.state === "connected") this.#probe(this.#link);
    else if (!this.#link) this.#connect(); // do not sit out the back-off
  };

  async #renew(link) {
    emit(this, "token_about_to_expire");
    const token = await this.#currentToken();
    if (token !== link.token) await this.#request({ type: "token", token }); // not in a loop
    link.token = token;
  }

  #request(frame, link = this.state === "connected" ? this.#link : null) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const text = JSON.stringify({ ...frame, id });
      if (this.state === "closed") throw new SyncStreamsError("The client is closed");
      if (this.#pending.size >= this.options.maxPending)
        throw new SyncStreamsError("Too many requests wait for an answer");
      if (new TextEncoder().encode(text).length > MAX_FRAME_BYTES)
        throw new SyncStreamsError("Request entity too large", { code: 54006, status: 413 });
      const late = () => this.#refuse(id, new SyncStreamsError("No answer in time"));
      const request = { text, resolve, reject, timer: setTimeout(late, this.options.timeout) };
      this.#pending.set(id, request);
      if (link) this.#send(link, request);
    });
  }

  #send(link, request) {
    request.link = link;
    link.socket.send(request.text);
  }

  #settle(id) {
    const request = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(request?.timer);
    return request;
  }

  #refuse(id, error) {
    const request = this.#settle(id);
    return request ? request.reject(error) : emit(this, "error", error);
  }

  #receive(link, text) {
    const frame = JSON.parse(text);
    link.seen = Date.now();
    switch (frame.type) {
      case "message": return this.#tell(frame, (each) => emit(each, "message", frame.message));
      case "gap": return this.#tell(frame, (each) => emit(each, "gap", { dropped: frame.dropped }));
      case "stream_removed": return this.#tell(frame, (each) => this.#forget(each, "removed"));
      case "ping": return link.socket.send('{"type":"pong"}');
      case "token_about_to_expire": return this.#renew(link).catch(() => {}); // or it expires
      case "closing": return (link.closing = frame);
      case "error": return this.#refuse(frame.id, new SyncStreamsError(frame.message, frame));
      default: return this.#settle(frame.id)?.resolve(frame);
    }
  }

  #tell({ stream_sid }, action) {
    for (const each of this.#subscriptions) if (each.stream?.sid === stream_sid) action(each);
  }

  #ask(...more) {
    for (const subscription of more) this.#waiting.add(subscription);
    for (const subscription of this.#waiting) {
      if (this.state !== "connected" || this.#asking >= MAX_ASKING) return;
      this.#waiting.delete(subscription);
      if (subscription.ended) continue;
      this.#asking += 1;
      this.#subscribe(subscription, this.#link).finally(() => (this.#asking -= 1, this.#ask()));
    }
  }

  async #subscribe(subscription, link) {
    const { ref, mode, stream: before } = subscription;
    try {
      const reply = await this.#request({ type: "subscribe", stream: ref, mode });
      subscription.stream = reply.stream;
      if (subscription.ended) return this.#unsubscribe(subscription);
      emit(subscription, "subscribed", reply.stream);
      return before && emit(subscription, "gap", { dropped: null }); // nobody can count them
    } catch (error) {
      const again = () => link === this.#link && this.#ask(subscription);
      if (link !== this.#link || subscription.ended) return undefined;
      if (error.temporary) return setTimeout(again, (error.retryAfter ?? 1) * 1000);
      if (before && error.status === 404) return this.#forget(subscription, "removed");
      return this.#forget(subscription, "error", error);
    }
  }

  #unsubscribe(subscription) {
    this.#forget(subscription);
    const sid = subscription.stream?.sid;
    const isShared = [...this.#subscriptions].some(({ stream }) => stream?.sid === sid);
    if (sid && !isShared && this.state === "connected")
      this.#request({ type: "unsubscribe", stream: sid }).catch(() => {});
  }

  #forget(subscription, type, detail) {
    subscription.ended = true;
    this.#subscriptions.delete(subscription);
    if (type) emit(subscription, type, detail);
  }
}
