/** Types of sync-streams.js, the client of the JSON socket. */

export type JSONObject = { [key: string]: unknown };

export interface Stream {
  /** SID, `TO…`. */
  readonly sid: string;
  readonly unique_name: string | null;
  /** ISO 8601, UTC; null: the Stream does not expire. */
  readonly date_expires: string | null;
}

export interface Message<Data extends object = JSONObject> {
  /** SID, `TZ…`. */
  readonly sid: string;
  readonly data: Data;
}

export interface Gap {
  /** Number of Messages that were not delivered; null: unknown. */
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
  /** Why, if it closed for the access token: the server's error, or what the token function threw. */
  readonly error?: SyncStreamsError | Error;
}

export interface Options {
  /**
   * URL of the socket, `/v1/websocket`; a relative one is resolved against the page's or
   * worker's. http(s) is read as ws(s).
   */
  url?: string | URL;
  /**
   * An access token, or a function that fetches one for each connection and renewal. Its
   * argument is the refusal of the previous token, if that was refused. Throw an error whose
   * `temporary` is false to close the client.
   */
  token: string | ((refusal?: SyncStreamsError) => string | Promise<string>);
  /** Log each frame, without tokens and data: true for console.debug, or a function. */
  debug?: boolean | ((line: string) => void);
  /** Milliseconds for an answer or a connection; 10,000. */
  timeout?: number;
  /** Milliseconds between two pings; 20,000. */
  heartbeat?: number;
  /** Milliseconds: ceiling of the first pause before reconnecting; 500. */
  backoff?: number;
  /** Milliseconds: ceiling of every pause before reconnecting; 30,000. */
  maxBackoff?: number;
  /** A publish is rejected when so many requests wait for a connection or an answer; 1,000. */
  maxPending?: number;
  /** The class to use if there is no global one: that of the package `ws`. */
  WebSocket?: new (url: string, protocol: string) => unknown;
}

export interface SubscribeOptions<Data extends object = JSONObject> {
  /** Create the Stream if there is none of that name. */
  mode?: "open_or_create";
  /** Fetch the present state once subscribed; Messages wait as they do for `onGap`. */
  onStart?: (gap: Gap, subscription: Subscription<Data>) => unknown;
  /**
   * Catch up after Messages were lost. Those that arrive meanwhile wait, in order, for at most
   * the client's `timeout`, and at most 1,000 of them; any more are dropped, which is another
   * gap.
   */
  onGap?: (gap: Gap, subscription: Subscription<Data>) => unknown;
}

export interface PublishOptions {
  /** Milliseconds to wait for a connection and an answer; the client's `timeout`. */
  timeout?: number;
  /** Publish again, within `timeout`, if the Stream's rate is exceeded (429). */
  retry?: boolean;
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
    fields?: {
      code?: number;
      status?: number;
      more_info?: string;
      retry_after?: number;
      temporary?: boolean;
    },
  );
}

type Listener<Target, Detail> =
  | ((this: Target, event: CustomEvent<Detail>) => unknown)
  | { handleEvent(event: CustomEvent<Detail>): unknown }
  | null;

export interface SubscriptionEvents<Data extends object = JSONObject> {
  /** The server delivers from now on; again after each reconnection. */
  subscribed: Stream;
  message: Message<Data>;
  gap: Gap;
  /** The Stream was removed, and the subscription has ended. */
  removed: null;
  /** The subscription was refused and has ended. */
  error: SyncStreamsError;
}

export class Subscription<Data extends object = JSONObject> extends EventTarget {
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
  /** A token function is called automatically; otherwise set `token` in the listener. */
  token_about_to_expire: null;
  /**
   * Errors that no promise reports: the first attempt to connect failed, the token was refused, a
   * hook failed, a request was refused after its promise had been rejected as too late. The first
   * three also go to console.warn, unless `preventDefault()`.
   */
  error: SyncStreamsError | Error;
}

export class SyncStreams extends EventTarget {
  constructor(options: Options);
  readonly url: URL;
  readonly state: State;
  /** The last `state` event's detail. */
  readonly change: StateChange;
  /** From the access token; null until connected. */
  readonly identity: string | null;
  /** Requests that wait for a connection or an answer. */
  readonly pending: number;
  /** Used for the next connection or renewal. */
  token: Options["token"];
  /** Subscribe to a Stream by SID or unique name. */
  subscribe<Data extends object = JSONObject>(
    ref: string,
    options?: SubscribeOptions<Data>,
  ): Subscription<Data>;
  /** Publish at most once; without a connection, wait for one. */
  publish(ref: string, data: object, options?: PublishOptions): Promise<Published>;
  /** Close for good; waiting requests are rejected. */
  close(reason?: string): void;
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
