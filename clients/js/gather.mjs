// Copies the files that the Django app serves into the package, so that there is one source.

import { copyFileSync, readdirSync } from "node:fs";

const root = new URL("../../", import.meta.url);
const source = new URL("sync_streams/static/sync_streams/", root);
const here = new URL("./", import.meta.url);

const isOurs = (name) => name.startsWith("sync-streams") && !name.includes(".min.");
for (const name of readdirSync(source).filter(isOurs))
  copyFileSync(new URL(name, source), new URL(name, here));
copyFileSync(new URL("LICENSE", root), new URL("LICENSE", here));
