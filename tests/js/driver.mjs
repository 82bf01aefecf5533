// A client in Node, told by lines of JSON what to do; it writes what happens, a line each.
//
// node driver.mjs MODULE URL [WS]: the client's file, the socket's address, and the file of
// the package `ws`, where Node's own WebSocket is not to be used.

import { createInterface } from "node:readline";

const [module, url, ws] = process.argv.slice(2);
const { SyncStreams } = await import(module);
const say = (event, detail) => console.log(JSON.stringify({ event, ...detail }));
const plain = ({ message, code, status, temporary }) => ({ message, code, status, temporary });
const askers = []; // calls of the token function that wait for an answer

function token(refusal) {
  say("token", { refusal: refusal?.code });
  return new Promise((resolve) => askers.push(resolve));
}

const options = ws ? { WebSocket: (await import(ws)).WebSocket } : {};
const client = new SyncStreams({ url, token, backoff: 100, ...options });
client.addEventListener("state", ({ detail: { state, reason } }) => say(state, { reason }));
client.addEventListener("error", (event) => say("error", plain(event.detail)));

const actions = {
  token: ({ value }) => askers.shift()(value),
  close: () => client.close(),
  publish: ({ ref, data, ...options }) =>
    client.publish(ref, data, options).then(
      () => say("published"),
      (error) => say("refused", plain(error)),
    ),
  subscribe({ ref, mode }) {
    const subscription = client.subscribe(ref, { mode });
    for (const type of ["subscribed", "message", "gap", "removed"])
      subscription.addEventListener(type, ({ detail }) => say(type, detail));
  },
};

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  const { action, ...fields } = JSON.parse(line);
  actions[action](fields);
});
client.addEventListener("state", ({ detail }) => detail.state === "closed" && process.stdin.destroy());
