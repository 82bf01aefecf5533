/** Types of sync-streams.js, the browser client of the JSON socket. */

export type JSONObject = { [key: string]: unknown };

export interface Stream {
  /** SID, `TO…`. */
  readonly sid: string;
  readonly unique_name: string | null;
  /** ISO 8601, UTC; null: the Stream does not expire. */
  readonly date_expires: string | null;
}

export interface Message<Data extends JSONObject = JSONObject> {
  /** SID, `TZ…`. */
  readonly sid: string;
  readonly data: Data;
}

export interface Gap {
  /** Messages that were not delivered; null: unknown, the connection was interrupted. */
  readonly dropped: number | null;
}

export interface Published {
  readonly message_sid: string;
  readonly stream_sid: string;
}

export type State = "connecting" | "connected" | "reconnecting" | "closed";

export interface StateChange {
  readonly state: State;
  /** Why, when reconnecting or closed. */
  readonly reason?: string;
  /** Milliseconds until the next attempt, when reconnecting. */
  readonly retryIn?: number;
  /** What the server said of the access token, when closed for it. */
  readonly error?: SyncStreamsError;
}

export interface Options {
  /** Address of the socket; a relative one starts at the page's. http(s) reads as ws(s). */
  url: string | URL;
  /** An access token, or what fetches one: called for each connection and renewal. */
  token: string | (() => string | Promise<string>);
  /** Milliseconds for an answer or a connection; 10,000. */
  timeout?: number;
  /** Milliseconds between two pings; 20,000. */
  heartbeat?: number;
  /** Milliseconds: ceiling of the first pause before reconnecting; 500. */
  backoff?: number;
  /** Milliseconds: ceiling of every pause before reconnecting; 30,000. */
  maxBackoff?: number;
  /** Requests that may wait for an answer; 1,000. */
  maxPending?: number;
  /** Where there is no global one. */
  WebSocket?: new (url: string, protocol: string) => unknown;
}

export class SyncStreamsError extends Error {
  /** Twilio's error code; 0: no server said so. */
  readonly code: number;
  /** HTTP status; 0: no server said so. */
  readonly status: number;
  readonly moreInfo?: string;
  /** Seconds. */
  readonly retryAfter?: number;
  /** Whether the same request may succeed later. */
  readonly temporary: boolean;
  constructor(
    message: string,
    fields?: { code?: number; status?: number; more_info?: string; retry_after?: number },
  );
}

type Listener<Target, Detail> =
  | ((this: Target, event: CustomEvent<Detail>) => unknown)
  | { handleEvent(event: CustomEvent<Detail>): unknown }
  | null;

export interface SubscriptionEvents<Data extends JSONObject = JSONObject> {
  /** The server delivers from now on; again after each reconnection. */
  subscribed: Stream;
  message: Message<Data>;
  gap: Gap;
  /** The Stream is gone, and the subscription with it. */
  removed: null;
  /** The subscription was refused and has ended. */
  error: SyncStreamsError;
}

export class Subscription<Data extends JSONObject = JSONObject> extends EventTarget {
  private constructor();
  /** SID or unique name, as given. */
  readonly ref: string;
  readonly mode?: "open_or_create";
  /** Null until the server has answered. */
  readonly stream: Stream | null;
  readonly ended: boolean;
  unsubscribe(): void;
  addEventListener<Type extends keyof SubscriptionEvents>(
    type: Type,
    listener: Listener<this, SubscriptionEvents<Data>[Type]>,
    options?: AddEventListenerOptions | boolean,
  ): void;
  removeEventListener<Type extends keyof SubscriptionEvents>(
    type: Type,
    listener: Listener<this, SubscriptionEvents<Data>[Type]>,
    options?: EventListenerOptions | boolean,
  ): void;
}

export interface ClientEvents {
  state: StateChange;
  /** Fetched tokens renew themselves; else set `token` in the listener. */
  token_about_to_expire: null;
  /** An error that answers no request. */
  error: SyncStreamsError;
}

export class SyncStreams extends EventTarget {
  constructor(options: Options);
  readonly url: URL;
  readonly state: State;
  /** From the access token; null until connected. */
  readonly identity: string | null;
  /** Used for the next connection or renewal. */
  token: Options["token"];
  /** Subscribe to a Stream by SID or unique name. */
  subscribe<Data extends JSONObject = JSONObject>(
    ref: string,
    options?: { mode?: "open_or_create" },
  ): Subscription<Data>;
  /** Publish at most once; waits for a connection as long as for an answer. */
  publish(ref: string, data: JSONObject): Promise<Published>;
  /** End for good; what waits is rejected. */
  close(): void;
  addEventListener<Type extends keyof ClientEvents>(
    type: Type,
    listener: Listener<this, ClientEvents[Type]>,
    options?: AddEventListenerOptions | boolean,
  ): void;
  removeEventListener<Type extends keyof ClientEvents>(
    type: Type,
    listener: Listener<this, ClientEvents[Type]>,
    options?: EventListenerOptions | boolean,
  ): void;
}
