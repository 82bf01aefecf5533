/** Counts Messages exactly, in total and for each of the last seconds. */

export const SECONDS = 60;

export class Tally {
  total = 0;
  history = new Array(SECONDS).fill(0); // a second each, oldest first
  #since = 0;

  /** Messages in the latest whole second. */
  get rate() { return this.history.at(-1); }

  add() {
    this.total += 1;
    this.#since += 1;
  }

  /** End a second; or several, which a tab in the background counts as one. */
  tick(seconds = 1) {
    const passed = Math.min(Math.max(1, Math.round(seconds)), SECONDS);
    this.history.push(...new Array(passed).fill(Math.round(this.#since / passed)));
    this.history.splice(0, passed);
    this.#since = 0;
  }
}

/** Call *act* each second with the seconds that passed, more in the background. */
export function eachSecond(act) {
  let before = performance.now();
  return setInterval(() => {
    const now = performance.now();
    act((now - before) / 1000);
    before = now;
  }, 1000);
}
