/** Vue 3: one connection for an app, and Streams for the components that show them. */

import { computed, inject, onScopeDispose, shallowRef, toValue, watch } from "vue";
import { NOTHING, watchStream } from "./stream-view.js";
import { SyncStreams } from "./sync-streams.js";

const KEY = Symbol("sync-streams");

/** Return a plugin: `app.use(createSyncStreams({ token }))`. */
export function createSyncStreams(options) {
  const client = options instanceof SyncStreams ? options : new SyncStreams(options);
  const install = (app) => {
    app.provide(KEY, client);
    if (client !== options) app.onUnmount?.(() => client.close("the app was unmounted"));
  };
  return { client, install };
}

/** Return the app's client, its identity, and its last change of state. */
export function useSyncStreams() {
  const client = injected();
  const change = shallowRef(client.change);
  const listener = ({ detail }) => (change.value = detail);
  client.addEventListener("state", listener);
  onScopeDispose(() => client.removeEventListener("state", listener));
  const state = computed(() => change.value.state);
  const identity = computed(() => change.value && client.identity);
  return { client, change, state, identity };
}

/** Subscribe while the component lives; the Stream may be a ref or getter; with null, wait. */
export function useStream(source, { mode, keep, ...handlers } = {}) {
  const client = injected();
  const view = shallowRef(NOTHING);
  const follow = (ref, _, onCleanup) => {
    view.value = NOTHING;
    if (ref == null) return;
    const show = (next) => (view.value = next);
    onCleanup(watchStream(client, ref, { mode, keep, show, handlers: () => handlers }));
  };
  watch(() => toValue(source), follow, { immediate: true });
  const part = (name) => computed(() => view.value[name]);
  return {
    status: part("status"),
    stream: part("stream"),
    message: part("message"),
    messages: part("messages"),
    error: part("error"),
    publish: (data, options) => client.publish(toValue(source), data, options),
  };
}

function injected() {
  const client = inject(KEY, null);
  if (!client) throw new Error("app.use(createSyncStreams({ … })) comes first");
  return client;
}
