/**
 * Filter of the live monitor: a text in a Message, or a path into its data with a
 * comparison, as in `$.player.name = "Ada"`, `$.moves[0].score >= 3`, `$.text ~ hello`.
 */

const STEP = /^(?:\.([\p{L}_$][\p{L}\p{N}_$-]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\])/u;
const COMPARISON = /^\s*(>=|<=|!=|=|>|<|~)\s*(\S.*)$/s;

const lower = (value) => (typeof value === "string" ? value : JSON.stringify(value)).toLowerCase();
const isAlike = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const inOrder = (test) => (one, other) => typeof one === typeof other && test(one, other);

const COMPARE = {
  "=": isAlike,
  "!=": (one, other) => !isAlike(one, other),
  ">": inOrder((one, other) => one > other),
  ">=": inOrder((one, other) => one >= other),
  "<": inOrder((one, other) => one < other),
  "<=": inOrder((one, other) => one <= other),
  "~": (one, other) => lower(one).includes(lower(other)),
};

/** Return a function of a row's `{ searched, data }`; null: the path is invalid. */
export function readFilter(text) {
  const wanted = text.trim();
  if (/^\$(?:[.[]|$)/.test(wanted)) return readPath(wanted.slice(1));
  const needle = text.toLowerCase();
  return ({ searched }) => searched.includes(needle);
}

function readPath(text) {
  const keys = [];
  let rest = text;
  for (let step = STEP.exec(rest); step; step = STEP.exec(rest)) {
    keys.push(step[3] === undefined ? (step[1] ?? step[2]) : readValue(step[3]));
    rest = rest.slice(step[0].length);
  }
  if (!rest.trim()) return ({ data }) => find(data, keys) !== undefined;
  const comparison = COMPARISON.exec(rest);
  if (!comparison) return null;
  const [, operator, literal] = comparison;
  const wanted = readValue(literal.trim());
  return ({ data }) => {
    const found = find(data, keys);
    return found !== undefined && COMPARE[operator](found, wanted);
  };
}

/** Follow own properties only: `__proto__` is a name like any other. */
function find(data, keys) {
  let value = data;
  for (const key of keys) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

function readValue(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text; // a word without quotes
  }
}
