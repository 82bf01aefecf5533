/** Subscribers in the admin's list of Streams: fetched and updated for the visible rows. */

const REFRESH_MS = 5000;

const cells = [...document.querySelectorAll("[data-occupancy]")];

async function refresh() {
  if (document.hidden) return;
  const query = new URLSearchParams(cells.map((cell) => ["sid", cell.dataset.occupancy]));
  const answer = await fetch(`occupancy/?${query}`, { redirect: "error" }).catch(() => null);
  if (!answer?.ok) return;
  const counts = await answer.json();
  for (const cell of cells)
    cell.textContent = counts[cell.dataset.occupancy].toLocaleString();
}

if (cells.length) {
  refresh();
  setInterval(refresh, REFRESH_MS);
}
