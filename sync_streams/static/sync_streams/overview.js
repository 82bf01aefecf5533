/** Overview of all processes: asks for their figures while somebody may look. */

const REFRESH_MS = 5000;

const root = document.querySelector("[data-figures].sync-overview");
const { Chart } = await import(root.dataset.chart);
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const GAUGE = "connections";

const cards = [...root.querySelectorAll(".sync-card")];
const charts = cards.map((card) => [card.dataset.chart, new Chart(card, part("table"))]);

const round = (value) => (value < 10 ? Math.round(value * 10) / 10 : Math.round(value));

function show({ history, sample_seconds: seconds, totals, ...rest }) {
  for (const [name, chart] of charts) {
    const values = history[name].map((value) => (name === GAUGE ? value : round(value / seconds)));
    chart.show(values, name === GAUGE ? totals.connections : values.at(-1));
  }
  for (const name of ["streams", "services"]) if (part(name)) list(part(name), rest[name]);
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

function list(place, rows) {
  const items = rows.map(({ name, url, subscribers }) => {
    const [item, link, count] = ["li", "a", "span"].map((tag) => document.createElement(tag));
    Object.assign(link, { href: url, textContent: name, dir: "auto" });
    count.textContent = subscribers.toLocaleString();
    item.append(link, count);
    return item;
  });
  if (!items.length) items.push(Object.assign(document.createElement("li"), { textContent: root.dataset.nobody }));
  place.replaceChildren(...items);
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
