/** Overview of all processes: fetches their figures while the page is visible. */

const REFRESH_MS = 5000;

const root = document.querySelector("[data-figures].sync-overview");
const { Chart } = await import(root.dataset.chart);
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const GAUGE = "connections";
const SVG = "http://www.w3.org/2000/svg";

const cards = [...root.querySelectorAll(".sync-card")];
const charts = cards.map((card) => [card.dataset.chart, new Chart(card, part("table"))]);

const round = (value) => (value < 10 ? Math.round(value * 10) / 10 : Math.round(value));

function show({ history, sample_seconds: seconds, totals, ...rest }) {
  for (const [name, chart] of charts) {
    const values = history[name].map((value) => (name === GAUGE ? value : round(value / seconds)));
    chart.show(values, name === GAUGE ? totals.connections : values.at(-1));
  }
  for (const place of root.querySelectorAll("ol[data-part]")) list(place, rest[place.dataset.part]);
  tell(rest);
}

function tell({ processes, is_layer_reachable: isReachable }) {
  const { unreachable, unreached, mixed, healthy, draining, processes: word } = root.dataset;
  const faults = [];
  if (!isReachable) faults.push(unreachable);
  if (processes.unreachable) faults.push(`${unreached} ${processes.unreachable}.`);
  if (processes.versions > 1) faults.push(mixed);
  const leaving = processes.draining ? ` (${processes.draining} ${draining})` : "";
  const count = `${word}: ${processes.answered}${leaving}.`;
  say(`${faults.join(" ") || healthy} ${count}`, faults.length ? "reconnecting" : "connected");
}

function say(text, state) {
  part("state").dataset.state = state;
  if (part("state").textContent !== text) part("state").textContent = text;
}

const make = (tag, facts) => Object.assign(document.createElement(tag), facts);

function list(place, rows) {
  const { nobody, nothing } = root.dataset;
  const items = rows.map(({ name, url, ...figures }) => {
    const item = make("li", {});
    item.append(make("a", { href: url, textContent: name, dir: "auto" }), ...toFigures(figures));
    return item;
  });
  const none = place.dataset.part.startsWith("busy") ? nothing : nobody;
  const held = place.contains(document.activeElement) && document.activeElement.href;
  place.replaceChildren(...(items.length ? items : [make("li", { textContent: none })]));
  if (held) keepFocus([...place.querySelectorAll("a")], held);
}

/** Keep the focus on the link that had it, wherever that is now. */
function keepFocus(links, href) {
  (links.find((link) => link.href === href) ?? links[0])?.focus({ preventScroll: true });
}

/** A number; for Messages also a line of the last hour and, in words, its peak. */
function toFigures({ subscribers, rate, last_hour: values }) {
  if (rate === undefined) return [make("span", { textContent: subscribers.toLocaleString() })];
  const highest = `${root.dataset.highest} ${round(Math.max(rate, ...values)).toLocaleString()}/s`;
  const line = toLine([...values, rate]);
  const said = make("span", { className: "visually-hidden", textContent: highest });
  return [line, said, make("span", { textContent: `${round(rate).toLocaleString()}/s`, title: highest })];
}

function toLine(values) {
  const [width, height, top] = [values.length - 1, 16, Math.max(...values)];
  const svg = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "polyline");
  const points = values.map((value, at) => `${at},${height - 1 - (value / top) * (height - 2)}`);
  line.setAttribute("points", points.join(" "));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(line);
  return svg;
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(root.dataset.figures, { redirect: "manual" }).catch(() => null);
  if (answer?.type === "opaqueredirect") {
    clearInterval(timer);
    say(root.dataset.session, "closed");
  } else if (answer?.ok) show(await answer.json());
  else say(root.dataset.failed, "reconnecting");
}

const timer = setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", refresh);
refresh();
