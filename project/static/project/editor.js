/** The publish form: checks the data while it is typed, and shows the result. */

export const MAX_DATA_BYTES = 4096;
const WAITING_MS = 300; // after which a publish is shown as waiting
const number = new Intl.NumberFormat("en");

/** Read *text* as a Message's data: `{data, bytes, problem}`, problem is "" if it is valid. */
export function check(text) {
  const bytes = sizeOf(text);
  if (!text.trim()) return { bytes, problem: 'Write a JSON object, such as {"n": 1}.' };
  try {
    return checkData(JSON.parse(text, refuseInfinity));
  } catch (error) {
    return { bytes, problem: `Not JSON: ${error.message}.`.replace("..", ".") };
  }
}

function checkData(data) {
  const bytes = sizeOf(JSON.stringify(data));
  if (data === null || typeof data !== "object" || Array.isArray(data))
    return { bytes, problem: "The data must be an object: { … }." };
  const excess = bytes - MAX_DATA_BYTES;
  const unit = excess === 1 ? "byte" : "bytes";
  if (excess > 0) return { bytes, problem: `${number.format(excess)} ${unit} too many.` };
  return { data, bytes, problem: "" };
}

function refuseInfinity(key, value) {
  if (value === Infinity || value === -Infinity) throw new RangeError("a number is too large");
  return value;
}

const sizeOf = (text) => new TextEncoder().encode(text).length;

export class Editor {
  /**
   * *publish* takes the data and resolves with the Message's SID; *wait* returns what it
   * waits for, in words; *repeat* is called when the form is sent, and may handle it.
   */
  constructor(elements, { publish, wait, repeat }) {
    Object.assign(this, { elements, publish, wait, repeat });
    const { form, text } = elements;
    text.addEventListener("input", () => this.#show(check(text.value)));
    text.addEventListener("keydown", (event) => this.#submitOnEnter(event));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#show(check(text.value));
  }

  /** The current data, or undefined while it is invalid. */
  get data() { return check(this.elements.text.value).data; }

  #submitOnEnter(event) {
    const isSubmit = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    if (isSubmit) this.elements.form.requestSubmit();
  }

  #show({ bytes, problem }) {
    const { button, meter, size } = this.elements;
    size.textContent = `${number.format(bytes)} / ${number.format(MAX_DATA_BYTES)} bytes`;
    meter.value = bytes;
    button.disabled = Boolean(problem);
    this.#tell("", problem);
  }

  #tell(success, problem) {
    const { text, result, refusal } = this.elements;
    result.textContent = success;
    refusal.textContent = problem;
    refusal.hidden = !problem;
    text.setAttribute("aria-invalid", String(Boolean(problem)));
  }

  async #submit() {
    const { data, problem } = check(this.elements.text.value);
    if (problem || this.repeat()) return;
    const start = performance.now();
    const waiting = setTimeout(() => this.#tell(this.wait(), ""), WAITING_MS);
    try {
      const sid = await this.publish(data);
      clearTimeout(waiting);
      const took = Math.max(1, Math.round(performance.now() - start));
      this.#tell(`Published in ${took} ms`, "");
      this.elements.result.title = sid;
    } catch (error) {
      clearTimeout(waiting);
      this.#tell("", error.code ? `${error.message} (${error.code}).` : `${error.message}.`);
    }
  }
}
