/** One figure over time: a number, a line on a canvas, a row of a table. */

const SECONDS = 60; // shown by a chart that grows by the second

export class Chart {
  /** *card* holds a heading, an output and a canvas; *table*, if any, takes the row. */
  constructor(card, table) {
    this.values = [];
    this.points = SECONDS;
    this.marks = []; // whether Messages were lost in that second
    this.isMarked = false;
    this.output = card.querySelector("output");
    this.canvas = card.querySelector("canvas");
    if (table) this.addRow(table, card.querySelector("h2, h3").textContent);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  addRow(table, title) {
    this.row = table.insertRow();
    const head = Object.assign(document.createElement("th"), { textContent: title, scope: "row" });
    this.row.append(head);
    for (let cell = 0; cell < 3; cell += 1) this.row.insertCell();
  }

  /** Show a whole history; *number* stands above it. */
  show(values, number) {
    this.values = values;
    this.points = values.length;
    this.say(number);
  }

  /** Show a second's *value*; *number* stands above it. */
  push(value, number = value) {
    this.values.push(value);
    this.marks.push(this.isMarked);
    this.isMarked = false;
    if (this.values.length > SECONDS) this.values.shift(), this.marks.shift();
    this.say(number);
  }

  say(number) {
    this.output.textContent = number.toLocaleString();
    const figures = [this.values.at(-1), Math.min(...this.values), Math.max(...this.values)];
    if (this.row)
      figures.forEach((each, at) => (this.row.cells[at + 1].textContent = each.toLocaleString()));
    this.draw();
  }

  /** Draw a line through the current second: Messages were lost. */
  mark() { this.isMarked = true; }

  draw() {
    const { canvas, values } = this;
    const scale = window.devicePixelRatio;
    const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    if (!values.length) return;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas); // the theme's colours
    const top = Math.max(1, ...values) * 1.1;
    const y = (value) => height - scale - (value / top) * (height - 2 * scale);
    const step = width / (this.points - 1);
    const left = width - (values.length - 1) * step;
    context.clearRect(0, 0, width, height);
    context.beginPath();
    values.forEach((value, at) => context.lineTo(left + at * step, y(value)));
    context.strokeStyle = context.fillStyle = style.color;
    context.lineWidth = 1.5 * scale;
    context.stroke();
    context.lineTo(width, height);
    context.lineTo(left, height);
    context.globalAlpha = 0.15;
    context.fill();
    context.globalAlpha = 1;
    context.fillStyle = style.outlineColor;
    this.marks.forEach((isMarked, at) =>
      isMarked && context.fillRect(left + at * step - scale, 0, 2 * scale, height));
  }
}
