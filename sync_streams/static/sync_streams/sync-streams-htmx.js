/**
 * Streams for htmx 2 and 4: elements subscribe by an attribute and trigger events for hx-trigger.
 * One module without imports; the client comes from sync-streams.js.
 *
 *   <ul hx-get="/orders/" hx-trigger="sync:message, sync:gap" sync-stream="orders"></ul>
 *   <ul sync-stream="news" sync-swap="html" hx-swap="afterbegin"></ul>
 */

const TYPES = ["subscribed", "message", "gap", "removed", "error"];
const SELECTOR = "[sync-stream]";

/** Subscribe elements with `sync-stream` below *root*, now and later; return a function to stop. */
export function extend(htmx, client, root = document.documentElement) {
  const subscriptions = new Map(); // element -> Subscription
  let api; // of htmx 2, which finds targets for its extensions only
  htmx.defineExtension?.("sync-streams", { init: (found) => (api = found) });

  function look() {
    for (const [element, { ref, unsubscribe }] of subscriptions) {
      const isSame = root.contains(element) && element.getAttribute("sync-stream") === ref;
      if (isSame) continue;
      subscriptions.delete(element);
      unsubscribe();
    }
    if (client.state === "closed") return;
    for (const element of root.querySelectorAll(SELECTOR))
      if (!subscriptions.has(element)) subscriptions.set(element, subscribe({ htmx, api, client }, element));
  }

  const observer = new MutationObserver(look);
  observer.observe(root, { subtree: true, childList: true, attributeFilter: ["sync-stream"] });
  look();
  return () => {
    observer.disconnect();
    for (const { unsubscribe } of subscriptions.values()) unsubscribe();
    subscriptions.clear();
  };
}

function subscribe({ htmx, api, client }, element) {
  const mode = element.getAttribute("sync-mode") ?? undefined;
  const subscription = client.subscribe(element.getAttribute("sync-stream"), { mode });
  for (const type of TYPES)
    subscription.addEventListener(type, ({ detail }) => {
      htmx.trigger(element, `sync:${type}`, { detail });
      if (type === "message") swap({ htmx, api }, element, detail.data);
    });
  return subscription;
}

/** Put the HTML that a Message carries into the page, as hx-swap and hx-target say. */
function swap({ htmx, api }, element, data) {
  const html = data[element.getAttribute("sync-swap")];
  if (typeof html !== "string") return;
  const style = inherited(element, "hx-swap") ?? htmx.config.defaultSwap ?? "innerHTML";
  const selector = inherited(element, "hx-target");
  if (parseInt(htmx.version) >= 4) {
    htmx.swap({ sourceElement: element, target: selector, text: html, swap: style });
    return;
  }
  const target = api.getTarget(element);
  if (!target) console.warn(`sync-streams: no element for hx-target="${selector}"`);
  else htmx.swap(target, html, { swapStyle: style.split(" ")[0], swapDelay: 0, settleDelay: 20 });
}

function inherited(element, attribute) {
  return element.closest(`[${attribute}]`)?.getAttribute(attribute);
}
