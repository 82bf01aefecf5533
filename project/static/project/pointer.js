/** The data of a pointer's Message, and the validation of others' data. */

import { COLOURS } from "./palette.js";

const MAX_ID = 32;
const MAX_NAME = 24;
const KINDS = ["Amber", "Brave", "Calm", "Dusty", "Eager", "Gentle", "Quick", "Silver"];
const ANIMALS = ["badger", "crane", "fox", "heron", "lynx", "marten", "otter", "wren"];

const isShare = (value) => Number.isFinite(value) && value >= 0 && value <= 1;

/** Read a Message's data: `{ id, name, colour, x, y, mark }`, or null: not a pointer. */
export function readPointer({ id, name, colour, x, y, mark }) {
  if (typeof id !== "string" || !id || id.length > MAX_ID) return null;
  if (!isShare(x) || !isShare(y)) return null;
  const text = typeof name === "string" ? name.slice(0, MAX_NAME) : "";
  const shade = Number.isInteger(colour) && colour >= 0 && colour < COLOURS ? colour : 0;
  return { id, name: text || "nobody", colour: shade, x, y, mark: mark === true };
}

/** Return a unique id. */
export function newId() {
  // Not randomUUID(), which is missing without HTTPS.
  return Array.from(crypto.getRandomValues(new Uint32Array(2)), toHex).join("");
}

const toHex = (number) => number.toString(16).padStart(8, "0");

/** Return a friendly name, always the same for one id. */
export function toName(id) {
  const at = Number.parseInt(id.slice(0, 4), 16);
  return `${KINDS[at % KINDS.length]} ${ANIMALS[(at >> 3) % ANIMALS.length]}`;
}
