/** Types of sync-streams-htmx.js. */

import type { SyncStreams } from "./sync-streams.js";

/**
 * Subscribe every element below `root` that has the attribute `sync-stream`, now and later.
 * Each receives `sync:subscribed`, `sync:message`, `sync:gap`, `sync:removed` and `sync:error`.
 *
 * @param htmx htmx 2 or 4.
 * @returns a function that unsubscribes all of them.
 */
export function extend(htmx: object, client: SyncStreams, root?: Element): () => void;
