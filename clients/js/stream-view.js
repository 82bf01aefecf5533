/** A component's view of one Stream, updated by its events; for react.js and vue.js. */

export const NOTHING = {
  status: "subscribing", stream: null, message: null, messages: [], error: null,
};

/** Subscribe; call *show* with each new view and *handlers()* for each event. */
export function watchStream(client, ref, { mode, keep = 100, handlers, show }) {
  let view = NOTHING;
  const change = (changes) => show((view = { ...view, ...changes }));
  const last = (message) => (keep > 0 ? [...view.messages, message].slice(-keep) : []);
  const changes = {
    subscribed: (stream) => ({ status: "subscribed", stream }),
    message: (message) => ({ message, messages: last(message) }),
    removed: () => ({ status: "removed" }),
    error: (error) => ({ status: "refused", error }),
  };
  const onStart = () => handlers().onStart?.();
  const onGap = (gap) => handlers().onGap?.(gap);
  try {
    const subscription = client.subscribe(ref, { mode, onStart, onGap });
    for (const [type, toChanges] of Object.entries(changes))
      subscription.addEventListener(type, ({ detail }) => {
        change(toChanges(detail));
        handlers()[`on${type[0].toUpperCase()}${type.slice(1)}`]?.(detail);
      });
    return subscription.unsubscribe;
  } catch (error) {
    change(changes.error(error)); // the client is closed
    return () => {};
  }
}
