/** What components show of a Stream. */

import type {
  Gap, JSONObject, Message, Published, PublishOptions, Stream, SyncStreamsError,
} from "./sync-streams.js";

export interface StreamView<Data extends object = JSONObject> {
  /** `removed` and `refused` are final. */
  readonly status: "subscribing" | "subscribed" | "removed" | "refused";
  readonly stream: Stream | null;
  /** The latest Message. */
  readonly message: Message<Data> | null;
  /** The latest Messages, the newest last; as many as `keep` says. */
  readonly messages: readonly Message<Data>[];
  /** Why the subscription was refused. */
  readonly error: SyncStreamsError | null;
}

export interface StreamOptions<Data extends object = JSONObject> {
  /** Create the Stream if there is none of that name. */
  mode?: "open_or_create";
  /** Messages to keep; 100. */
  keep?: number;
  onMessage?: (message: Message<Data>) => unknown;
  /** Fetch the present state; Messages wait until it has finished. */
  onStart?: () => unknown;
  /** Catch up after a loss; Messages wait until it has finished. */
  onGap?: (gap: Gap) => unknown;
  onSubscribed?: (stream: Stream) => unknown;
  onRemoved?: () => unknown;
  onError?: (error: SyncStreamsError) => unknown;
}

export type Publish<Data extends object = JSONObject> = (
  data: Data,
  options?: PublishOptions,
) => Promise<Published>;
