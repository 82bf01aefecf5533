/** Test publish of the admin: checks the data while it is typed, and shows the result. */

const MAX_BYTES = 4096;

const compactSize = (data) => new TextEncoder().encode(JSON.stringify(data)).length;

function read(text) {
  try {
    const data = JSON.parse(text);
    return data && typeof data === "object" && !Array.isArray(data) ? data : null;
  } catch {
    return null;
  }
}

class PublishForm {
  constructor(form) {
    this.form = form;
    this.data = form.querySelector("textarea");
    this.button = form.querySelector("button");
    this.size = form.querySelector("[data-size]");
    this.result = form.querySelector(".sync-result");
    this.data.addEventListener("input", () => this.check());
    this.data.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.check()) this.publish();
    });
    this.check();
  }

  check() {
    const data = read(this.data.value);
    const size = data ? compactSize(data) : 0;
    const { invalid, tooLarge } = this.form.dataset;
    const fault = !data ? invalid : size > MAX_BYTES ? tooLarge : "";
    this.size.textContent = data ? size.toLocaleString() : "–";
    this.data.setAttribute("aria-invalid", String(Boolean(fault)));
    this.button.disabled = Boolean(fault);
    this.tell(fault, Boolean(fault));
    return !fault;
  }

  async publish() {
    this.button.disabled = true;
    try {
      const answer = await fetch(this.form.action, {
        method: "POST",
        body: new FormData(this.form),
        redirect: "error", // to the login page
      });
      const type = answer.headers.get("Content-Type") ?? "";
      if (!type.includes("json")) throw new Error(`${answer.status} ${answer.statusText}`);
      this.show(answer.ok, await answer.json());
    } catch (error) {
      this.tell(`${this.form.dataset.failed}: ${error.message}`, true);
      this.button.disabled = false;
    }
  }

  show(isPublished, { sid, code, message, retry_after: wait = 0 }) {
    const { published, wait: again } = this.form.dataset;
    if (isPublished) this.tell(`${published}: ${sid}`);
    else if (wait) this.tell(`${message} (${code}), ${again} ${wait.toFixed(1)} s`, true);
    else this.tell(`${message} (${code})`, true);
    setTimeout(() => (this.button.disabled = false), wait * 1000);
  }

  tell(text, isFault = false) {
    this.result.textContent = text;
    this.result.classList.toggle("sync-fault", isFault);
  }
}

for (const form of document.querySelectorAll(".sync-publish form")) new PublishForm(form);
