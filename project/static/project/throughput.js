/** The last minute as stacked bars on a canvas: a colour for each Stream or pointer. */

import { inTheme } from "./palette.js";
import { SECONDS } from "./tally.js";

const GAP = 1.5; // pixels between two seconds
const LEAST = 10; // Messages a second that the scale always shows
const ROOM = 1.15; // above the highest bar

export class Throughput {
  /** *limit* is a rate to mark with a line. */
  constructor(canvas, { limit = null } = {}) {
    this.canvas = canvas;
    this.limit = limit;
    this.parts = [];
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /** Show *parts*, each `{ history, colour }`, bottom first. */
  show(parts) {
    this.parts = parts;
    this.#draw();
    const sums = this.#sums();
    const [now, most] = [sums.at(-1), Math.max(...sums)];
    const text = `Messages per second, the last minute: ${now} now, ${most} at most.`;
    this.canvas.setAttribute("aria-label", text);
  }

  #sums() {
    const sum = (second) => this.parts.reduce((all, { history }) => all + history[second], 0);
    return Array.from({ length: SECONDS }, (_, second) => sum(second));
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = devicePixelRatio;
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    const top = Math.max(LEAST, this.limit ?? 0, ...this.#sums()) * ROOM;
    this.#drawScale(context, { width, height, top });
    this.#drawBars(context, { width, height, top });
  }

  #drawScale(context, { width, height, top }) {
    const style = getComputedStyle(this.canvas);
    context.font = `11px ${style.fontFamily}`;
    const rate = this.limit ?? toRound(top / ROOM);
    const y = Math.round(height - (rate / top) * height) + 0.5;
    context.strokeStyle = style.borderBottomColor;
    context.setLineDash(this.limit ? [4, 4] : []);
    context.strokeRect(0, y, width, 0);
    context.fillStyle = style.color;
    context.fillText(this.limit ? `limit: ${rate} a second` : `${rate}`, 0, y - 4);
  }

  #drawBars(context, { width, height, top }) {
    const step = width / SECONDS;
    const toCss = inTheme(this.canvas);
    const levels = new Array(SECONDS).fill(height);
    for (const { history, colour } of this.parts) {
      context.fillStyle = toCss(colour);
      history.forEach((count, second) => {
        const tall = (count / top) * height;
        levels[second] -= tall;
        context.fillRect(second * step + GAP / 2, levels[second], step - GAP, tall);
      });
    }
  }
}

/** Return a round number below *most* for the scale: 1, 2 or 5 and zeros. */
function toRound(most) {
  const unit = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].find((factor) => factor * unit <= most) * unit;
}
