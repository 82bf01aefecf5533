// Writes the client as pages get it: minified, from the source beside it.
// After a change of sync-streams.js: node tests/js/minify.mjs

import { readFileSync, writeFileSync } from "node:fs";
import { minifySync } from "rolldown/experimental";

const folder = new URL("../../sync_streams/static/sync_streams/", import.meta.url);
const source = readFileSync(new URL("sync-streams.js", folder), "utf8");
const { code, errors } = minifySync("sync-streams.js", source, { module: true });
if (errors.length) throw new Error(errors.join("\n"));
const target = process.argv[2] ?? new URL("sync-streams.min.js", folder);
writeFileSync(target, `// Built from sync-streams.js, which is the one to read.\n${code}\n`);
