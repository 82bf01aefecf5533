/** Types of react.js. */

import type { FunctionComponent, ReactNode } from "react";
import type { JSONObject, Options, StateChange, SyncStreams } from "./sync-streams.js";
import type { StreamOptions, StreamView, Publish } from "./stream-view.js";

export type { StreamOptions, StreamView };

export type ProviderProps = { children?: ReactNode } & (
  | { client: SyncStreams }
  | (Options & { client?: null })
);

/**
 * Provide the components below with a client: `client`, which you close, or one created from the
 * options, which is closed when the provider is unmounted. A new `url` makes a new client; a new
 * `token` function is used from then on; other options are read once.
 */
export const SyncStreamsProvider: FunctionComponent<ProviderProps>;

/** The client of the nearest provider, null until it is made, and its state. */
export function useSyncStreams(): StateChange & {
  readonly client: SyncStreams | null;
  readonly identity: string | null;
};

/** Subscribe while the component is mounted; with no ref, wait for one. */
export function useStream<Data extends object = JSONObject>(
  ref: string | null | undefined,
  options?: StreamOptions<Data>,
): StreamView<Data> & { readonly publish: Publish<Data> };
