/** Pointers on the console: each page publishes its own and shows everyone's. */

import { Latency, toMs } from "./latency.js";
import { leastUsed } from "./palette.js";
import { Participant } from "./participant.js";
import { readPointer } from "./pointer.js";
import { Stage } from "./stage.js";

const STREAM = "cursors"; // the same as that of the cursors page
const ACTIVE_MS = 2000; // those that published within this time share the rate
const MAX_SEEN = 60;
const STEP = 0.02; // of the surface, for an arrow key
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Together {
  #seen = new Map(); // id -> { colour, at }
  #latency = new Latency();

  constructor(client, { surface, canvas, hint, latency }) {
    Object.assign(this, { client, surface, hint, output: latency });
    this.stage = new Stage(surface, canvas);
    this.me = new Participant((data) => this.#latency.follow(() => this.#publish(data)));
    surface.addEventListener("pointermove", (event) => this.#move(this.#toPlace(event)));
    surface.addEventListener("pointerdown", (event) => this.#move(this.#toPlace(event), true));
    surface.addEventListener("keydown", (event) => this.#onKey(event));
    this.subscription = client.subscribe(STREAM, { mode: "open_or_create" });
    this.subscription.addEventListener("message", ({ detail }) => this.#show(detail));
  }

  async #publish(data) {
    const { stream } = this.subscription;
    if (this.client.state !== "connected" || !stream) throw new Error("not connected");
    return (await this.client.publish(stream.sid, data)).message_sid;
  }

  #show({ sid, data }) {
    this.#latency.seen(sid);
    const pointer = readPointer(data);
    if (!pointer) return;
    const { id, colour } = pointer;
    if (this.#seen.has(id) || this.#seen.size < MAX_SEEN)
      this.#seen.set(id, { colour, at: performance.now() });
    this.stage.show(pointer, id === this.me.id);
    this.hint.hidden = true;
    this.output.textContent = toMs(this.#latency.median);
  }

  #move(place, mark = false) {
    const since = performance.now() - ACTIVE_MS;
    for (const [id, { at }] of this.#seen) if (at < since) this.#seen.delete(id);
    const others = [...this.#seen].filter(([id]) => id !== this.me.id);
    this.me.colour ??= leastUsed(others.map(([, { colour }]) => colour));
    this.me.pacer.sharers = others.length + 1;
    this.me.move(place, mark);
  }

  #onKey(event) {
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " ") return;
    event.preventDefault();
    const { x, y } = this.me.place;
    const [right, down] = arrow ?? [0, 0];
    this.#move({ x: x + STEP * right, y: y + STEP * down }, !arrow);
  }

  #toPlace({ clientX, clientY }) {
    const { left, top, width, height } = this.surface.getBoundingClientRect();
    return { x: (clientX - left) / width, y: (clientY - top) / height };
  }
}
