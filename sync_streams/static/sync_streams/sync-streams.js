/**
 * Client of the JSON socket: Streams of Messages, live, over one WebSocket.
 * One module without imports, for pages, workers and Node; clients/js packs it for npm.
 * Speaks docs/wire-websocket.md; the guide is docs/browser-client.md.
 */

const MAX_FRAME_BYTES = 65536;
const MAX_ASKING = 8; // subscribe requests in flight: 2,000 at once would be refused
const MAX_HELD = 1000; // Messages of one Subscription that wait for its onStart or onGap
const STEADY_MS = 10000; // a connection that lived this long resets the back-off
const TOKEN_INVALID = 4002; // close code
const MAX_TIMEOUT = 2 ** 31 - 1; // ms; timers take no more
const UNKNOWN = { dropped: null }; // a gap of unknown length
const REFUSED = "the handshake failed (wrong path, refused Origin, or a proxy without Upgrade?)";
const DEFAULTS = {
  timeout: 10000, // ms, as all here
  heartbeat: 20000,
  backoff: 500,
  maxBackoff: 30000,
  maxPending: 1000,
};

const emit = (target, type, detail) =>
  target.dispatchEvent(new CustomEvent(type, { detail, cancelable: true }));

/** A request that was refused, or (status 0) not answered. */
export class SyncStreamsError extends Error {
  constructor(message, { code = 0, status = 0, more_info, retry_after, temporary } = {}) {
    super(message);
    this.name = "SyncStreamsError";
    Object.assign(this, { code, status, moreInfo: more_info, retryAfter: retry_after });
    const isBusy = status === 429 && code !== 54419; // that is: too many subscriptions
    this.temporary = temporary ?? (status === 0 || isBusy || status >= 500);
  }
}

const closed = () => new SyncStreamsError("The client is closed", { temporary: false });

function toSocketUrl(url) {
  const { href, origin } = globalThis.location ?? {};
  const here = href?.startsWith("blob:") ? origin : href; // a Blob's worker has no path
  const address = new URL(url, globalThis.document?.baseURI ?? here);
  address.protocol = address.protocol.replace("http", "ws");
  return address;
}

/** Interest in one Stream; events: subscribed, message, gap, removed, error. */
export class Subscription extends EventTarget {
  constructor(ref, { mode, onStart, onGap }, unsubscribe) {
    super();
    Object.assign(this, { ref, mode, onStart, onGap, stream: null, ended: false });
    this.unsubscribe = () => unsubscribe(this);
  }
}

/** One connection that keeps itself up; events: state, token_about_to_expire, error. */
export class SyncStreams extends EventTarget {
  change = { state: "connecting" }; // the last event "state"
  identity = null;
  #link = null; // the current connection, or attempt at one
  #pending = new Map(); // request id -> request
  #subscriptions = new Set();
  #waiting = new Set(); // Subscriptions not yet requested from the server
  #held = new WeakMap(); // Subscription -> events that wait for its onStart or onGap
  #asking = 0;
  #lastId = 0;
  #attempt = 0;
  #refusal; // why the last token was refused, until one is accepted
  #isKnown = false; // the address has answered, or was reported not to
  #debug;
  #closed = new AbortController();

  constructor({ url = "/v1/websocket", token, debug, ...options } = {}) {
    super();
    this.url = toSocketUrl(url);
    this.token = token;
    this.options = { ...DEFAULTS, WebSocket: globalThis.WebSocket, ...options };
    if (!this.options.WebSocket)
      throw new SyncStreamsError("No WebSocket here: pass one, as in { WebSocket } from 'ws'");
    this.#debug = debug === true ? (line) => console.debug("sync-streams", line) : debug || null;
    for (const type of ["online", "offline", "pageshow", "visibilitychange"])
      globalThis.addEventListener?.(type, this.#wake, { signal: this.#closed.signal });
    this.#connect();
  }

  get state() { return this.change.state; }

  /** Requests that wait for a connection or an answer. */
  get pending() { return this.#pending.size; }

  subscribe(ref, options = {}) {
    if (this.state === "closed") throw closed();
    const subscription = new Subscription(ref, options, (ended) => this.#unsubscribe(ended));
    this.#subscriptions.add(subscription);
    this.#ask(subscription);
    return subscription;
  }

  async publish(ref, data, { timeout, retry } = {}) {
    if (this.#pending.size >= this.options.maxPending)
      throw new SyncStreamsError("Too many requests wait for an answer");
    return this.#request({ type: "publish", stream: ref, data }, { timeout, retry });
  }

  close(reason = "closed by the page", error = undefined) {
    if (this.state === "closed") return;
    clearTimeout(this.retry);
    this.#closed.abort();
    this.#drop(this.#link, reason, () => true);
    for (const subscription of this.#subscriptions) this.#leave(subscription);
    this.#setState("closed", { reason, error });
  }

  async #connect() {
    clearTimeout(this.retry);
    const link = (this.#link = { since: Infinity, seen: 0, refusals: 0 });
    link.deadline = setTimeout(() => this.#lose(link, "no answer"), this.options.timeout);
    try {
      link.token = await this.#currentToken();
      if (link === this.#link) this.#connected(link, await this.#open(link));
    } catch (error) {
      link.error = error; // "closing" follows when the server says so
      if (!link.socket) this.#lose(link, error.message);
    }
  }

  #currentToken = async () =>
    typeof this.token === "function" ? this.token(this.#refusal) : this.token;

  async #open(link) {
    const socket = (link.socket = new this.options.WebSocket(this.url.href, "sync-streams.v1"));
    socket.onmessage = ({ data }) => link === this.#link && this.#receive(link, data);
    // With ws an error without a listener ends the process; Node 22's own WebSocket reports
    // a refused handshake only by an error.
    socket.onerror = ({ message, error }) => {
      link.reason = message || error?.code;
      if (!link.isOpen) this.#lose(link, link.reason || REFUSED);
    };
    socket.onclose = ({ reason }) =>
      this.#lose(link, reason || link.reason || (link.isOpen ? "connection lost" : REFUSED));
    await new Promise((resolve) => (socket.onopen = resolve));
    this.#isKnown = link.isOpen = true;
    return this.#request({ type: "connect", token: link.token }, { link });
  }

  #connected(link, { identity }) {
    clearTimeout(link.deadline);
    link.heartbeat = setInterval(() => this.#probe(link), this.options.heartbeat);
    link.since = Date.now();
    this.#refusal = undefined;
    this.identity = identity;
    this.#setState("connected");
    this.#ask(); // before what was published meanwhile, so that a Stream is there
    for (const request of this.#pending.values()) if (!request.link) this.#send(link, request);
  }

  #lose(link, reason) {
    if (link !== this.#link) return undefined;
    this.#drop(link, reason, (request) => request.link);
    const { reconnect_after: pause, reason: why = reason } = link.closing ?? {};
    if (this.#isFinal(link) && !this.#asksOnceMore(link, why)) return this.#end(why, link.error);
    if (!this.#isKnown) this.#warn(new SyncStreamsError(`Cannot connect to ${this.url}: ${why}`));
    if (this.state === "closed") return undefined; // by a listener
    this.#isKnown = true; // the states report the next attempts
    if (Date.now() - link.since > STEADY_MS) this.#attempt = 0;
    const retryIn = this.#pause(this.#attempt++, pause ?? 0);
    this.retry = setTimeout(() => this.#connect(), retryIn);
    return this.#setState("reconnecting", { reason: why, retryIn });
  }

  #pause(attempt, seconds = 0) {
    const { backoff, maxBackoff } = this.options;
    return seconds * 1000 + Math.random() * Math.min(maxBackoff, backoff * 2 ** attempt);
  }

  #isFinal({ closing, error, since, socket }) {
    if (!socket) return error?.temporary === false; // thrown by the token function
    const isUnlucky = since === Infinity && (error?.temporary ?? true);
    return closing?.reconnect_after === null && !isUnlucky;
  }

  /** A refused token may come from a cache: ask the function for another, once. */
  #asksOnceMore({ closing, error }, why) {
    const isRenewable = closing?.code === TOKEN_INVALID && typeof this.token === "function";
    if (!isRenewable || this.#refusal) return false;
    return (this.#refusal = error ?? new SyncStreamsError(why, { status: 401 }));
  }

  #end(reason, error) {
    this.close(reason, error);
    if (error) this.#warn(error);
  }

  #warn(error) {
    if (emit(this, "error", error)) console.warn(`sync-streams: ${error.message}`);
  }

  #drop(link, reason, isLost) {
    this.#link = null;
    this.#waiting = new Set(this.#subscriptions);
    for (const timer of [link?.deadline, link?.rest, link?.renewal]) clearTimeout(timer);
    clearInterval(link?.heartbeat);
    link?.socket?.close();
    for (const [id, request] of this.#pending)
      if (isLost(request)) this.#refuse(id, new SyncStreamsError(reason));
  }

  #setState(state, detail) {
    this.#log(state, { type: detail?.reason });
    emit(this, "state", (this.change = { state, ...detail }));
  }

  #probe(link) {
    const asked = Date.now();
    const isDead = () => link.seen < asked && this.#lose(link, "no answer");
    this.#request({ type: "ping" }).catch(isDead);
  }

  #wake = () => {
    if (globalThis.document?.hidden || globalThis.navigator?.onLine === false) return;
    if (this.state === "connected") this.#probe(this.#link);
    else if (!this.#link) this.#connect(); // do not wait for the back-off
  };

  async #renew(link, attempt = 0) {
    try {
      const token = await this.#currentToken();
      if (link !== this.#link) return;
      if (token !== link.token) await this.#request({ type: "token", token }); // not in a loop
      link.token = token;
      this.#refusal = undefined;
    } catch (error) {
      if (link === this.#link) this.#renewLater(link, attempt, error);
    }
  }

  #renewLater(link, attempt, error) {
    const code = error.status === 401 && TOKEN_INVALID;
    if (error.temporary === false && !this.#asksOnceMore({ closing: { code }, error }))
      return this.#end(error.message, error);
    const again = () => this.#renew(link, attempt + 1);
    return (link.renewal = setTimeout(again, this.#pause(attempt)));
  }

  #request(fields, { link = null, timeout = this.options.timeout, retry = false } = {}) {
    const via = this.state === "connected" ? this.#link : link;
    return new Promise((resolve, reject) => {
      if (this.state === "closed") throw closed();
      const id = ++this.#lastId;
      const frame = { ...fields, id };
      const text = JSON.stringify(frame);
      if (new TextEncoder().encode(text).length > MAX_FRAME_BYTES)
        throw new SyncStreamsError("Request entity too large", { code: 54006, status: 413 });
      const late = () => this.#refuse(id, new SyncStreamsError("No answer in time"));
      const timer = setTimeout(late, Math.min(timeout, MAX_TIMEOUT));
      const request = { frame, text, retry, resolve, reject, timer, link: null };
      this.#pending.set(id, request);
      if (via) this.#send(via, request);
    });
  }

  #send(link, request) {
    request.link = link;
    this.#log(">", request.frame);
    link.socket.send(request.text);
  }

  /** Names only: neither tokens nor data belong in a log. */
  #log(way, { type, id, stream, stream_sid, code, dropped }) {
    const words = [way, type, id, stream?.sid ?? stream ?? stream_sid, code, dropped];
    this.#debug?.(words.filter((word) => word !== undefined).join(" "));
  }

  #settle(id) {
    const request = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(request?.timer);
    return request;
  }

  #refused(link, frame) {
    const error = new SyncStreamsError(frame.message, frame);
    const request = this.#pending.get(frame.id);
    if (!request?.retry || error.status !== 429) return this.#refuse(frame.id, error);
    request.link = null; // it was not published: it waits as if for a connection
    const again = () =>
      link === this.#link && this.#pending.has(frame.id) && this.#send(link, request);
    return setTimeout(again, (error.retryAfter ?? 1) * 1000);
  }

  #refuse(id, error) {
    const request = this.#settle(id);
    return request ? request.reject(error) : emit(this, "error", error);
  }

  #receive(link, text) {
    const frame = JSON.parse(text);
    link.seen = Date.now();
    this.#log("<", frame);
    switch (frame.type) {
      case "message": return this.#tell(frame, "message", frame.message);
      case "gap": return this.#tell(frame, "gap", { ...UNKNOWN, dropped: frame.dropped });
      case "stream_removed": return this.#tell(frame, "removed");
      case "ping": return link.socket.send('{"type":"pong"}');
      case "token_about_to_expire": return (emit(this, frame.type), this.#renew(link));
      case "closing": return (link.closing = frame);
      case "error": return this.#refused(link, frame);
      default: return this.#settle(frame.id)?.resolve(frame);
    }
  }

  #tell({ stream_sid }, type, detail) {
    for (const each of this.#subscriptions)
      if (each.stream?.sid === stream_sid) this.#deliver(each, type, detail);
  }

  #deliver(each, type, detail) {
    const held = this.#held.get(each);
    if (type === "removed") this.#forget(each);
    if (!held) {
      emit(each, type, detail);
      if (type === "gap") this.#catchUp(each, each.onGap, detail);
    } else if (held.push([type, detail]) > MAX_HELD && type !== "removed") {
      held.splice(0, Infinity, ["gap", UNKNOWN]);
    }
  }

  /** Run onStart or onGap; what arrives meanwhile follows it, in order. */
  async #catchUp(each, hook, gap) {
    if (!hook || each.ended) return;
    const held = [];
    this.#held.set(each, held);
    await new Promise((resolve, reject) => {
      const late = () => reject(new SyncStreamsError("onStart or onGap took too long"));
      const timer = setTimeout(late, this.options.timeout);
      const caughtUp = async () => hook(gap, each);
      caughtUp().then(resolve, reject).finally(() => clearTimeout(timer));
    }).catch((error) => this.#warn(error));
    if (this.#held.get(each) !== held) return; // unsubscribed meanwhile
    this.#held.delete(each);
    for (const [type, detail] of held) this.#deliver(each, type, detail);
  }

  #ask(...more) {
    for (const subscription of more) this.#waiting.add(subscription);
    for (const subscription of this.#waiting) {
      if (this.state !== "connected" || this.#link.rest || this.#asking >= MAX_ASKING) return;
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
      link.refusals = 0;
      if (subscription.ended) return this.#unsubscribe(subscription);
      emit(subscription, "subscribed", reply.stream);
      if (before) return this.#deliver(subscription, "gap", UNKNOWN);
      return void this.#catchUp(subscription, subscription.onStart, { dropped: 0 }); // may hang
    } catch (error) {
      if (link !== this.#link || subscription.ended) return undefined;
      if (error.temporary) return this.#askLater(subscription, link, error.retryAfter);
      if (before && error.status === 404) return this.#deliver(subscription, "removed");
      this.#forget(subscription);
      return emit(subscription, "error", error);
    }
  }

  /** One pause for all: each on its own would keep the connection above its rate of frames. */
  #askLater(subscription, link, seconds = 1) {
    this.#waiting.add(subscription);
    const again = () => ((link.rest = undefined), this.#ask());
    link.rest ??= setTimeout(again, this.#pause(link.refusals++, seconds));
  }

  #unsubscribe(subscription) {
    this.#leave(subscription);
    const { sid, unique_name } = subscription.stream ?? {};
    // One without a reply yet may be for the same Stream.
    const isShared = [...this.#subscriptions].some(({ stream, ref }) =>
      stream?.sid === sid || ref === sid || ref === unique_name);
    if (sid && !isShared && this.state === "connected")
      this.#request({ type: "unsubscribe", stream: sid }).catch(() => {});
  }

  #leave(subscription) {
    this.#forget(subscription);
    this.#held.set(subscription, []); // for ever: nothing more is delivered
  }

  #forget(subscription) {
    subscription.ended = true;
    this.#subscriptions.delete(subscription);
  }
}
