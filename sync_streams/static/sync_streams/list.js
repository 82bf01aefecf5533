/** Lists of the admin on a narrow screen: each row becomes a card, each cell gets a label. */

const table = document.querySelector("#result_list");
const titles = [...(table?.querySelectorAll("thead th") ?? [])].map((cell) =>
  (cell.querySelector(".text") ?? cell).textContent.trim());
for (const row of table?.tBodies[0].rows ?? [])
  [...row.cells].forEach((cell, at) => titles[at] && (cell.dataset.label = titles[at]));
table?.classList.add("sync-stack");
