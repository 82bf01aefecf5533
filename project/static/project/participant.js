/** A participant that moves: publishes its latest position, sharing the Stream's rate. */

import { PacedPublisher, Pacer } from "./pacer.js";
import { newId, toName } from "./pointer.js";

export const STREAM_RATE = 30; // Messages a second that a Stream accepts
const ROUND = 10_000; // four decimals place a pointer well enough

export class Participant {
  id = newId();
  name = toName(this.id);
  colour = null; // chosen when it moves
  place = { x: 0.5, y: 0.5 };
  #news = null; // what to publish next, if anything

  /** *publish* takes data and resolves when the server has accepted it. */
  constructor(publish) {
    this.pacer = new Pacer(STREAM_RATE);
    this.publisher = new PacedPublisher({
      pacer: this.pacer,
      next: () => this.#next(),
      publish: (data) => this.#publish(data, publish),
    });
  }

  get refusals() { return this.publisher.refusals; }

  /** Go to a position, as shares of width and height; optionally *mark* it. */
  move({ x, y }, mark = false) {
    this.place = { x: toShare(x), y: toShare(y) };
    const { id, name, colour } = this;
    // A mark waits for its turn, even if the pointer moves on meanwhile.
    this.#news = { id, name, colour, ...this.place, ...((mark || this.#news?.mark) && { mark: true }) };
    this.publisher.wake();
  }

  leave() {
    this.#news = null;
    this.publisher.stop();
  }

  async #publish(data, publish) {
    try {
      return await publish(data);
    } catch (error) {
      this.#news ??= data; // after a refusal, too, the latest position is published
      this.publisher.wake();
      throw error;
    }
  }

  #next() {
    const news = this.#news;
    this.#news = null;
    return news;
  }
}

const toShare = (value) => Math.round(Math.min(1, Math.max(0, value)) * ROUND) / ROUND;
