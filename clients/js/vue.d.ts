/** Types of vue.js. */

import type { ComputedRef, MaybeRefOrGetter, Plugin, ShallowRef } from "vue";
import type { JSONObject, Options, State, StateChange, SyncStreams } from "./sync-streams.js";
import type { Publish, StreamOptions, StreamView } from "./stream-view.js";

export type { StreamOptions, StreamView };

/**
 * A plugin with a client: one of your own, which you close, or one created from the options, which
 * is closed when the app is unmounted (Vue 3.5). Call it in the browser only.
 */
export function createSyncStreams(
  options: Options | SyncStreams,
): Plugin & { readonly client: SyncStreams };

/** The app's client and its state. */
export function useSyncStreams(): {
  readonly client: SyncStreams;
  readonly change: Readonly<ShallowRef<StateChange>>;
  readonly state: ComputedRef<State>;
  readonly identity: ComputedRef<string | null>;
};

/** Subscribe while the component lives; while the ref is null, wait. */
export function useStream<Data extends object = JSONObject>(
  source: MaybeRefOrGetter<string | null | undefined>,
  options?: StreamOptions<Data>,
): { readonly [Name in keyof StreamView<Data>]: ComputedRef<StreamView<Data>[Name]> } & {
  readonly publish: Publish<Data>;
};
