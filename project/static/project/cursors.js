/** Shared pointers: everyone on this page publishes and subscribes to one Stream. */

import { connect } from "./connection.js";
import { toPlain } from "./json-text.js";
import { Latency, toMs } from "./latency.js";
import { leastUsed } from "./palette.js";
import { Participant, STREAM_RATE } from "./participant.js";
import { readPointer } from "./pointer.js";
import { Stage } from "./stage.js";
import { eachSecond, Tally } from "./tally.js";
import { Throughput } from "./throughput.js";

const MAX_ROBOTS = 5;
const MAX_SEEN = 60; // pointers counted one by one
const ACTIVE_MS = 2000; // those that published within this time share the rate
const STEP = 0.02; // of the surface, for an arrow key
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const element = (id) => document.getElementById(id);
const surface = element("stage");
const stage = new Stage(surface, element("trails"));
const throughput = new Throughput(element("throughput"), { limit: STREAM_RATE });
const client = connect();
const latency = new Latency();
const total = new Tally();
const others = new Map(); // id -> { name, colour, tally, at }, of recent publishers
const robots = [];
const me = new Participant((data) => latency.follow(() => publish(data)));
let subscription;

async function publish(data) {
  if (client.state !== "connected" || !subscription.stream) throw new Error("not connected");
  return (await client.publish(subscription.stream.sid, data)).message_sid;
}

// -- what arrives -----------------------------------------------------------------------

function watch() {
  const name = nameInAddress();
  subscription?.unsubscribe();
  surface.ariaBusy = "true";
  element("stream-problem").hidden = true;
  subscription = client.subscribe(name, { mode: "open_or_create" });
  const on = (type, act) => subscription.addEventListener(type, ({ detail }) => act(detail));
  on("subscribed", () => (surface.ariaBusy = "false"));
  on("message", showMessage);
  on("removed", () => showProblem("The Stream was removed. Reload the page to create it again."));
  on("error", (error) => showProblem(`${error.message} (${error.code}).`));
  element("another").hash = location.hash;
}

function showMessage({ sid, data }) {
  latency.seen(sid);
  total.add();
  const pointer = readPointer(data);
  if (!pointer) return;
  count(pointer);
  stage.show(pointer, pointer.id === me.id);
  element("stage-hint").hidden = true;
}

function count({ id, name, colour }) {
  if (!others.has(id) && others.size >= MAX_SEEN) return;
  const one = others.get(id) ?? { tally: new Tally() };
  one.tally.add();
  others.set(id, Object.assign(one, { name, colour, at: performance.now() }));
  share();
}

/** Tell this page's participants how many share the Stream's rate. */
function share() {
  const since = performance.now() - ACTIVE_MS;
  const active = [...others].filter(([, { at }]) => at > since).map(([id]) => id);
  for (const own of [me, ...robots])
    own.pacer.sharers = new Set([...active, own.id]).size;
}

function nameInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || "cursors";
  } catch {
    return "cursors";
  }
}

// -- figures ----------------------------------------------------------------------------

function showFigures(seconds) {
  total.tick(seconds);
  for (const { tally } of others.values()) tally.tick(seconds);
  throughput.show([...others.values()].map(({ tally, colour }) => ({ ...tally, colour })));
  element("rate").textContent = total.rate.toLocaleString("en");
  element("total").textContent = total.total.toLocaleString("en");
  element("own-rate").textContent = others.get(me.id)?.tally.rate ?? 0;
  element("latency-median").textContent = toMs(latency.median);
  const refusals = [me, ...robots].reduce((sum, own) => sum + own.refusals, 0);
  element("refusals").textContent = refusals.toLocaleString("en");
  for (const [id, { tally }] of others)
    if (!tally.history.some(Boolean)) others.delete(id);
  share();
  showPeople();
}

function showPeople() {
  const since = performance.now() - 2 * ACTIVE_MS;
  const active = [...others].filter(([, { at }]) => at > since);
  element("people").replaceChildren(...active.map(toPerson));
  element("nobody").hidden = active.length > 0;
}

function toPerson([id, { name, colour, tally }]) {
  const person = document.createElement("li");
  const label = document.createElement("bdi");
  const rate = document.createElement("span");
  person.dataset.colour = colour;
  label.textContent = toPlain(name) + (id === me.id ? " (you)" : "");
  rate.className = "rate";
  rate.textContent = `${tally.rate}/s`;
  person.append(label, rate);
  return person;
}

function showProblem(text) {
  element("stream-problem").textContent = text;
  element("stream-problem").hidden = false;
}

// -- moving -----------------------------------------------------------------------------

/** Move one of this page's participants, in a colour that no other one here has. */
function move(own, place, isMark) {
  const taken = [...others.values(), ...robots].map(({ colour }) => colour);
  own.colour ??= leastUsed(taken.filter(Number.isInteger));
  own.move(place, isMark);
}

function toPlace({ clientX, clientY }) {
  const { left, top, width, height } = surface.getBoundingClientRect();
  return { x: (clientX - left) / width, y: (clientY - top) / height };
}

function onKey(event) {
  const isMark = event.key === " " || event.key === "Enter";
  const [right, down] = ARROWS[event.key] ?? [0, 0];
  if (!isMark && !ARROWS[event.key]) return;
  event.preventDefault();
  const { x, y } = me.place;
  move(me, { x: x + right * STEP, y: y + down * STEP }, isMark);
}

/** Let one more participant draw a figure, on this page's connection. */
function addRobot() {
  const robot = new Participant(publish);
  robot.name = `robot ${robots.push(robot)}`;
  const [across, down] = [1 + robots.length, 2 + (robots.length % 3)];
  const phase = 2.4 * robots.length; // well apart
  setInterval(() => {
    const angle = performance.now() / 2600 + phase;
    const place = [Math.sin(across * angle), Math.cos(down * angle)];
    const [x, y] = place.map((value) => 0.5 + 0.4 * value);
    if (!document.hidden) move(robot, { x, y });
  }, 15);
  element("robot").disabled = robots.length >= MAX_ROBOTS;
}

surface.addEventListener("pointermove", (event) => move(me, toPlace(event)));
surface.addEventListener("pointerdown", (event) => move(me, toPlace(event), true));
surface.addEventListener("keydown", onKey);
element("robot").addEventListener("click", addRobot);
element("your-name").value = me.name;
element("your-name").addEventListener("input", ({ target }) => (me.name = target.value));
addEventListener("hashchange", watch);
eachSecond(showFigures);
showFigures(1);
watch();
