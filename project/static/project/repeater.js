/** Publishes the editor's data over and over, at a pace that the Stream takes. */

import { PacedPublisher, Pacer } from "./pacer.js";

export class Repeater {
  #publisher = null;
  #count = 0;

  /** *read* returns the data, or nothing while it is not good; a number `n` counts up. */
  constructor(elements, { client, publish, read }) {
    Object.assign(this, { elements, client, publish, read });
    elements.pace.addEventListener("change", () => this.#start(Number(elements.pace.value)));
    client.addEventListener("state", () => this.#publisher?.wake());
    setInterval(() => this.#tell(), 1000);
  }

  #start(perSecond) {
    this.#publisher?.stop();
    this.#publisher = null;
    this.#count = 0;
    this.elements.result.textContent = "";
    if (!perSecond) return;
    this.#publisher = new PacedPublisher({
      pacer: new Pacer(perSecond),
      next: () => this.#next(),
      publish: this.publish,
    });
    this.#publisher.wake();
  }

  #next() {
    const data = this.client.state === "connected" && this.read();
    if (!data) return null;
    this.#count += 1;
    return typeof data.n === "number" ? { ...data, n: data.n + this.#count - 1 } : data;
  }

  #tell() {
    if (!this.#publisher) return;
    const { refusals } = this.#publisher;
    const refused = refusals ? `, ${refusals.toLocaleString("en")} refused (54009)` : "";
    this.elements.result.textContent = `${this.#count.toLocaleString("en")} published${refused}`;
    this.#publisher.wake(); // the data may be good again
  }
}
