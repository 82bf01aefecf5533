"use client";
/** React: one connection for a tree of components, and Streams for any of them. */

import {
  createContext, createElement, useCallback, useContext, useEffect, useInsertionEffect,
  useRef, useState, useSyncExternalStore,
} from "react";
import { NOTHING, watchStream } from "./stream-view.js";
import { SyncStreams, SyncStreamsError } from "./sync-streams.js";

const CONNECTING = { state: "connecting" };
const Context = createContext(null);

/** Provide the components below with a client: `client`, or one created from the options. */
export function SyncStreamsProvider({ children, client = null, ...options }) {
  const own = useOwnClient(client ? null : options);
  return createElement(Context.Provider, { value: client ?? own }, children);
}

/** Return the client of the nearest provider, its identity, and its last change of state. */
export function useSyncStreams() {
  const client = useContext(Context);
  const listen = useCallback((listener) => {
    client?.addEventListener("state", listener);
    return () => client?.removeEventListener("state", listener);
  }, [client]);
  const read = () => client?.change ?? CONNECTING;
  const change = useSyncExternalStore(listen, read, () => CONNECTING);
  return { ...change, client, identity: client?.identity ?? null };
}

/** Subscribe while the component is mounted; with no ref, wait for one. */
export function useStream(ref, { mode, keep, ...handlers } = {}) {
  const client = useContext(Context);
  const latest = useLatest(handlers);
  const [shown, setShown] = useState({});
  useEffect(() => {
    if (!client || ref == null) return undefined;
    const show = (view) => setShown({ client, ref, view });
    return watchStream(client, ref, { mode, keep, show, handlers: () => latest.current });
  }, [client, ref, mode, keep, latest]);
  const publish = useCallback(async (data, options) => {
    if (!client || ref == null) throw new SyncStreamsError("There is no client or Stream yet");
    return client.publish(ref, data, options);
  }, [client, ref]);
  const isCurrent = shown.client === client && shown.ref === ref;
  return { ...(isCurrent && shown.view ? shown.view : NOTHING), publish };
}

function useOwnClient(options) {
  const [client, setClient] = useState(null);
  const latest = useLatest(options);
  const kept = useRef({}); // outlives the trial unmount of StrictMode
  const key = options && String(options.url);
  useEffect(() => {
    if (key === null) return undefined;
    const own = kept.current;
    if (own.key === key) clearTimeout(own.closing);
    else Object.assign(own, { key, client: connect(latest) });
    const { client: made } = own;
    setClient(made);
    return () => {
      own.closing = setTimeout(() => {
        made.close("the component was unmounted");
        if (own.client === made) own.key = undefined;
      });
    };
  }, [key, latest]);
  return client;
}

function connect(latest) {
  const token = (refusal) => {
    const { token: current } = latest.current;
    return typeof current === "function" ? current(refusal) : current;
  };
  return new SyncStreams({ ...latest.current, token });
}

function useLatest(value) {
  const latest = useRef(value);
  useInsertionEffect(() => {
    latest.current = value;
  });
  return latest;
}
