/** Publishes the editor's data repeatedly, from Start to Stop, at a chosen pace. */

import { PacedPublisher, Pacer } from "./pacer.js";

export class Repeater {
  #publisher = null;
  #count = 0;

  /** *read* returns the data, or nothing while it is invalid; a number `n` counts up. */
  constructor(elements, { client, publish, read }) {
    Object.assign(this, { elements, client, publish, read });
    elements.pace.addEventListener("change", () => this.#label());
    elements.stop.addEventListener("click", () => this.stop());
    client.addEventListener("state", () => this.#publisher?.wake());
    setInterval(() => this.#tell(), 500);
    this.#label();
  }

  /** Start if a pace is chosen; return whether it is. */
  start() {
    const perSecond = Number(this.elements.pace.value);
    if (!perSecond) return false;
    this.#publisher?.stop();
    this.#count = 0;
    this.#publisher = new PacedPublisher({
      pacer: new Pacer(perSecond),
      next: () => this.#next(),
      publish: this.publish,
    });
    this.elements.stop.hidden = false;
    this.#publisher.wake();
    this.#tell();
    return true;
  }

  stop() {
    this.#tell();
    this.#publisher?.stop();
    this.#publisher = null;
    this.elements.start.focus(); // the button with the focus disappears
    this.elements.stop.hidden = true;
  }

  #label() {
    this.elements.start.textContent = Number(this.elements.pace.value) ? "Start" : "Publish";
  }

  #next() {
    const data = this.#publisher && this.client.state === "connected" && this.read();
    if (!data) return null;
    this.#count += 1;
    return typeof data.n === "number" ? { ...data, n: data.n + this.#count - 1 } : data;
  }

  #tell() {
    if (!this.#publisher) return;
    const { published, refusals, failures } = this.#publisher;
    const parts = [[published, "published"], [refusals, "rate-limited (54009)"], [failures, "failed"]];
    const told = parts.filter(([count], at) => count || !at);
    const text = told.map(([count, what]) => `${count.toLocaleString("en")} ${what}`).join(", ");
    const isWaiting = this.client.state !== "connected";
    this.elements.result.textContent = isWaiting ? `${text}; waiting for the connection` : text;
    this.#publisher.wake(); // the data may be valid again
  }
}
