/** Code for the Stream being watched; credentials are named, never shown. */

const PLAIN_NAME = /^\w[\w.~-]*$/;

const SNIPPETS = {
  curl: ({ origin, ref }) => `curl -u "$SYNC_ACCOUNT_SID:$SYNC_AUTH_TOKEN" \\
  --data-urlencode 'Data={"text": "Hello"}' \\
  ${origin}/v1/Services/default/Streams/${ref}/Messages`,

  python: ({ origin, ref }) => `import os
from twilio.rest import Client

client = Client(
    os.environ["SYNC_ACCOUNT_SID"],
    os.environ["SYNC_AUTH_TOKEN"],
)
client.sync.base_url = "${origin}"
stream = client.sync.v1.services("default") \\
    .sync_streams("${ref}")
stream.stream_messages.create(
    data={"text": "Hello from Python"}
)`,

  javascript: ({ origin, ref, client, token }) => `import { SyncStreams } from "${client}";

const sync = new SyncStreams({
  url: "${origin.replace("http", "ws")}/v1/websocket",
  token: async () => {
    // your own view, which knows the user
    const answer = await fetch("${token}", { method: "POST" });
    return (await answer.json()).token;
  },
});
sync.subscribe("${ref}").addEventListener(
  "message",
  ({ detail }) => console.log(detail.data),
);
await sync.publish("${ref}", { text: "Hello from JS" });`,
};

/** Write the snippet of a language, with the SID in place of a name that needs quoting. */
export function snippet(language, { name, sid, ...place }) {
  const ref = PLAIN_NAME.test(name) ? name : (sid ?? "<SID>");
  return SNIPPETS[language]({ ...place, ref });
}
