/** Copy buttons beside the admin's snippets, if the browser offers a clipboard. */

for (const button of navigator.clipboard ? document.querySelectorAll("[data-copied]") : []) {
  const label = button.textContent;
  const code = button.parentElement.querySelector("pre").textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code);
    button.textContent = button.dataset.copied;
    setTimeout(() => (button.textContent = label), 2000);
  });
}
