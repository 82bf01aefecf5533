/** Publishing within a Stream's rate, which other publishers share. */

const MARGIN = 1.03; // timers and networks are not exact
const LEAST_PART = 1 / 16; // of the share, however often it is refused
const PART_AFTER_REFUSAL = 0.75;
const PART_PER_MS = 0.0001; // regained: all of it within 10 seconds
const MAX_FLYING = 8; // Messages in flight, not answered yet
const OUTAGE_SECONDS = 0.5; // until the next attempt after an error other than the rate

/** When the next Message may go: an equal share of the rate, and less after refusals. */
export class Pacer {
  sharers = 1; // current publishers, including this one
  #part = 1; // of the share, less after refusals
  #changedAt = 0;
  #next = 0;

  constructor(perSecond, now = () => performance.now()) {
    this.perSecond = perSecond;
    this.now = now;
  }

  /** Milliseconds from one Message to the next. */
  get interval() {
    // Whole Messages: a share of 7.5 would sometimes be 8, and four times 8 is too many.
    const share = Math.floor(this.perSecond / this.sharers) || this.perSecond / this.sharers;
    return ((1000 / share) * MARGIN) / this.#part;
  }

  /** Milliseconds until the next Message may go. */
  get wait() {
    return Math.max(0, this.#next - this.now());
  }

  sent() {
    this.#next = this.now() + this.interval;
  }

  /** Return to the full share, as slowly as the others: by time, not by Messages. */
  accepted() {
    this.#change(this.#part + PART_PER_MS * (this.now() - this.#changedAt));
  }

  /** Slow down, and wait as long as the server says, but not in step with other tabs. */
  refused(retryAfter = 1) {
    this.#change(this.#part * PART_AFTER_REFUSAL);
    this.hold(retryAfter + (Math.random() * this.interval) / 1000);
  }

  /** Send nothing for some seconds. */
  hold(seconds) {
    this.#next = Math.max(this.#next, this.now() + 1000 * seconds);
  }

  #change(part) {
    this.#part = Math.min(1, Math.max(LEAST_PART, part));
    this.#changedAt = this.now();
  }
}

/** Publishes what *next* returns, whenever the pacer allows it, until that is null. */
export class PacedPublisher {
  refusals = 0; // for the rate, 429
  failures = 0; // for anything else
  published = 0;
  #flying = 0;
  #timer = null;

  constructor({ pacer, next, publish }) {
    Object.assign(this, { pacer, next, publish });
  }

  /** Report that there is something to publish. */
  wake() {
    this.#timer ??= setTimeout(() => this.#go(), this.pacer.wait);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  #go() {
    this.#timer = null;
    if (this.pacer.wait > 0) return this.wake(); // refused meanwhile
    const isFull = this.#flying >= MAX_FLYING;
    const data = isFull ? null : this.next();
    if (data === null) return isFull && this.wake();
    this.pacer.sent();
    this.#publish(data);
    return this.wake();
  }

  async #publish(data) {
    this.#flying += 1;
    try {
      await this.publish(data);
      this.published += 1;
      this.pacer.accepted();
    } catch (error) {
      if (error.status !== 429) {
        this.failures += 1;
        return this.pacer.hold(OUTAGE_SECONDS);
      }
      this.refusals += 1;
      this.pacer.refused(error.retryAfter);
    } finally {
      this.#flying -= 1;
    }
    return undefined;
  }
}
