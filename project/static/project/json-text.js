/** A Message's data as coloured text; hostile data stays text. */

const MAX_LINE = 52; // characters
const MAX_COLOURED = 1200; // characters; above it colours cost more than they help
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g;

// Characters that would change the reading order of the line, or are invisible.
const UNSEEN =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Write data as JSON, each part on one line where it fits. */
export function toText(data) {
  return toPlain(write(data, ""));
}

/** Escape characters that are invisible or change the reading order, as in JSON. */
export function toPlain(text) {
  return text.replace(UNSEEN, toEscape);
}

function write(value, indent, taken = indent.length) {
  const flat = JSON.stringify(value, null, 1).replace(/\n */g, " ");
  if (taken + flat.length <= MAX_LINE || value === null || typeof value !== "object") return flat;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const deeper = `${indent}  `;
  const lines = Object.entries(value).map(([key, item]) => {
    const lead = open === "[" ? deeper : `${deeper}${JSON.stringify(key)}: `;
    return lead + write(item, deeper, lead.length);
  });
  return `${open}\n${lines.join(",\n")}\n${indent}${close}`;
}

function toEscape(char) {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Return the nodes of *text*, its tokens in spans. */
export function toNodes(text) {
  if (text.length > MAX_COLOURED) return [text];
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    nodes.push(text.slice(end, match.index), toSpan(match));
    end = match.index + match[0].length;
  }
  return [...nodes, text.slice(end)];
}

function toSpan([token, string, colon]) {
  const span = document.createElement("span");
  span.className = colon ? "key" : string ? "string" : "value";
  span.textContent = token;
  return span;
}
