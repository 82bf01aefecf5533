/** The surface of the pointers: a mark for each, and a dot for each Message, which fades. */

import { toPlain } from "./json-text.js";
import { inTheme } from "./palette.js";

const MAX_POINTERS = 60;
const MAX_DOTS = 300;
const DOT_MS = 1600; // until a dot is gone
const MARK_MS = 900;
const IDLE_MS = 30000; // until an idle pointer is removed
const SWEEP_MS = 1000;
const STILL = 0.0005; // of the surface: within this distance a pointer has arrived
const EASE_MS = 45; // a pointer glides to the position in its latest Message
const SVG = "http://www.w3.org/2000/svg";

const isCalm = matchMedia("(prefers-reduced-motion: reduce)");

export class Stage {
  pointers = new Map(); // id -> { x, y, toX, toY, at, mark }
  #dots = []; // { x, y, colour, at, isMark }, oldest first
  #frame = null;
  #drawnAt = 0;

  constructor(surface, canvas) {
    Object.assign(this, { surface, canvas, context: canvas.getContext("2d") });
    new ResizeObserver(() => this.#fit()).observe(surface);
    setInterval(() => this.#sweep(), SWEEP_MS);
  }

  /** Show a Message's pointer, which has an id and a position; `isMine`: it is this page's. */
  show({ id, name, colour, x, y, mark }, isMine) {
    const at = performance.now();
    const pointer = this.pointers.get(id) ?? this.#enter(id, { x, y, colour, isMine });
    Object.assign(pointer, { toX: x, toY: y, at, name });
    pointer.element.classList.toggle("turned", x > 0.8);
    pointer.label.textContent = isMine ? "you" : toPlain(name);
    this.#dots.push({ x, y, colour, at, isMark: mark });
    if (this.#dots.length > MAX_DOTS) this.#dots.shift();
    this.#wake();
  }

  #enter(id, { x, y, colour, isMine }) {
    if (this.pointers.size >= MAX_POINTERS) this.#leave(this.pointers.keys().next().value);
    const element = toElement(colour, isMine);
    const pointer = { x, y, element, label: element.lastChild };
    this.surface.append(element);
    this.pointers.set(id, pointer);
    return pointer;
  }

  #leave(id) {
    this.pointers.get(id).element.remove();
    this.pointers.delete(id);
  }

  #fit() {
    const { clientWidth, clientHeight } = this.surface;
    this.canvas.width = clientWidth * devicePixelRatio;
    this.canvas.height = clientHeight * devicePixelRatio;
    this.#wake();
  }

  #sweep() {
    const since = performance.now() - IDLE_MS;
    for (const [id, { at }] of this.pointers) if (at < since) this.#leave(id);
  }

  #wake() {
    this.#frame ??= requestAnimationFrame((now) => this.#draw(now));
  }

  #draw(now) {
    const passed = Math.min(now - this.#drawnAt, 100);
    this.#drawnAt = now;
    const { clientWidth: width, clientHeight: height } = this.surface;
    for (const pointer of this.pointers.values()) move(pointer, passed, { width, height });
    this.#drawDots(now, { width, height });
    this.#frame = null;
    if (this.#dots.length || this.#isMoving()) this.#wake();
  }

  #isMoving() {
    const pointers = [...this.pointers.values()];
    return pointers.some(({ x, y, toX, toY }) => Math.hypot(toX - x, toY - y) > STILL);
  }

  #drawDots(now, { width, height }) {
    const { context } = this;
    const toCss = inTheme(this.surface);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.#dots = this.#dots.filter(({ at }) => now - at < DOT_MS);
    for (const { x, y, colour, at, isMark } of this.#dots) {
      const age = (now - at) / DOT_MS;
      context.strokeStyle = context.fillStyle = toCss(colour);
      drawDot(context, { x: x * width, y: y * height, age });
      if (isMark) drawMark(context, { x: x * width, y: y * height, age: (now - at) / MARK_MS });
    }
    context.globalAlpha = 1;
  }
}

function move(pointer, passed, { width, height }) {
  const share = isCalm.matches ? 1 : 1 - Math.exp(-passed / EASE_MS);
  pointer.x += (pointer.toX - pointer.x) * share;
  pointer.y += (pointer.toY - pointer.y) * share;
  const place = `translate(${pointer.x * width}px, ${pointer.y * height}px)`;
  if (place !== pointer.place) pointer.element.style.transform = pointer.place = place;
}

function drawDot(context, { x, y, age }) {
  context.globalAlpha = Math.max(0, 0.8 * (1 - age));
  context.beginPath();
  context.arc(x, y, 3.5 - 2 * age, 0, 2 * Math.PI);
  context.fill();
}

function drawMark(context, { x, y, age }) {
  if (age > 1) return;
  context.globalAlpha = 1 - age;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, 6 + 34 * age, 0, 2 * Math.PI);
  context.stroke();
}

function toElement(colour, isMine) {
  const element = document.createElement("div");
  element.className = isMine ? "pointer mine" : "pointer";
  element.dataset.colour = colour;
  const arrow = document.createElementNS(SVG, "svg");
  arrow.setAttribute("viewBox", "0 0 20 20");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", "M1 1 18 8 10.5 10.5 8 18z");
  arrow.append(path);
  element.append(arrow, document.createElement("bdi"));
  element.ariaHidden = "true"; // named in the list of those who move
  return element;
}
