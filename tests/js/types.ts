// Compiled, never run: what the client's types take and what they refuse.

import { WebSocket } from "./ws-types";
import { SyncStreams, SyncStreamsError, type Gap, type State } from "@sync-streams/client";

interface Order {
  id: number;
  status: "new" | "paid";
}

const client = new SyncStreams({ token: async (refusal) => refusal?.message ?? "", WebSocket });
new SyncStreams({ token: "x", url: new URL("wss://sync.test"), debug: (line) => line.length });
const state: State = client.change.state;

const orders = client.subscribe<Order>("orders", {
  mode: "open_or_create",
  onStart: async () => null,
  onGap: async ({ dropped }: Gap, { ref }) => [dropped, ref, state],
});
orders.addEventListener("message", ({ detail }) => detail.data.status === "paid");
orders.addEventListener("error", ({ detail }) => [detail.code, detail.temporary, detail.retryAfter]);
client.subscribe("untyped").addEventListener("message", ({ detail }) => detail.data.anything);
client.addEventListener("state", ({ detail: { state, retryIn, error } }) => [
  state, retryIn, error?.message, error instanceof SyncStreamsError && error.code,
]);

const order: Order = { id: 1, status: "new" };
export const published: Promise<string> = client
  .publish("orders", order as Order, { timeout: 1, retry: true })
  .then(({ message_sid }) => message_sid);
export const loggedOut = new SyncStreamsError("Logged out", { temporary: false });

// @ts-expect-error: data is an object
client.publish("orders", "text");
// @ts-expect-error: a token is needed
new SyncStreams({});
// @ts-expect-error: no such status
orders.addEventListener("message", ({ detail }) => detail.data.status === "lost");
// @ts-expect-error: no such option
client.subscribe("orders", { create: true });
