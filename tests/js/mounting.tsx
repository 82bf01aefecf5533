// A page whose parts come and go: what React's hooks open, they close.

import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { SyncStreamsProvider, useStream, useSyncStreams } from "@sync-streams/client/react";

const fetchToken = async () => (await (await fetch("/token", { method: "POST" })).json()).token;
const options = { mode: "open_or_create", keep: 2 } as const;

function Stream({ name }: { name: string | null }) {
  const { state } = useSyncStreams();
  const { status, message, messages } = useStream<{ n: number }>(name, options);
  const kept = messages.map(({ data }) => data.n).join("+");
  return <p id="stream">{[state, name, status, message?.data.n, kept].join(" ")}</p>;
}

function Page() {
  const [name, setName] = useState<string | null>(null);
  const [url, setUrl] = useState("/v1/websocket");
  const [isShown, setShown] = useState(true);
  const [isLate, setLate] = useState(false);
  return (
    <>
      <button onClick={() => setName("first")}>first</button>
      <button onClick={() => setName("second")}>second</button>
      <button onClick={() => setUrl("/v1/websocket?again")}>address</button>
      <button onClick={() => setShown(!isShown)}>toggle</button>
      <button onClick={() => setLate(true)}>late</button>
      {isShown && (
        <SyncStreamsProvider token={fetchToken} url={url}>
          {isLate ? <Stream key="late" name="late" /> : <Stream name={name} />}
        </SyncStreamsProvider>
      )}
    </>
  );
}

createRoot(document.getElementById("app")!).render(<StrictMode><Page /></StrictMode>);
