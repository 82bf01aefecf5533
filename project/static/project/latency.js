/** Latency of this page's Messages, from the call to publish until they arrive here. */

const MAX_SAMPLES = 200;
const MAX_KEPT = 500; // Messages published but not seen, or seen but not yet known as ours

export class Latency {
  samples = []; // milliseconds, oldest first
  #asked = new Map(); // SID -> moment of the call
  #early = new Map(); // SID -> moment it was seen, while a call is unanswered
  #asking = 0;

  constructor(now = () => performance.now()) {
    this.now = now;
  }

  get last() { return this.samples.at(-1); }

  get median() {
    const sorted = this.samples.toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  }

  /** Call *publish*, which resolves with a Message's SID, and follow that Message. */
  async follow(publish) {
    const start = this.now();
    this.#asking += 1;
    try {
      const sid = await publish();
      if (this.#early.has(sid)) this.#take(this.#early.get(sid) - start);
      else keep(this.#asked, sid, start);
      return sid;
    } finally {
      this.#asking -= 1;
      if (!this.#asking) this.#early.clear();
    }
  }

  /** A Message arrived, perhaps one of ours, which may overtake the response. */
  seen(sid) {
    const start = this.#asked.get(sid);
    if (this.#asked.delete(sid)) this.#take(this.now() - start);
    else if (this.#asking) keep(this.#early, sid, this.now());
  }

  #take(took) {
    this.samples.push(took);
    if (this.samples.length > MAX_SAMPLES) this.samples.shift();
  }
}

function keep(map, key, value) {
  map.set(key, value);
  if (map.size > MAX_KEPT) map.delete(map.keys().next().value);
}

/** Write milliseconds for people. */
export function toMs(ms) {
  if (ms === undefined) return "–";
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString("en")} ms`;
}
