// The place in the page that the address names: a radiograph, `#/ID`, or the list with its filters and order,
// `#/?priority=STAT&sort=-study`. An ID is made by the service and names no patient. A search may name one, so it is not in
// the address, which a browser keeps and shares among devices, but in the history of this tab.

/**
 * @import { Filters, Order, Sort } from "./api.js"
 *
 * @typedef {{ filters: Filters, order: Order }} Selection  what the list shows
 */

/** @type {readonly string[]} */
const SORTS = ["urgency", "received", "patient", "study"];

/**
 * Return the ID of the radiograph that an address names, or null if it names the list.
 * @param {string} hash
 */
export function radiographAt(hash) {
  const [, id] = /^#\/([^?]+)/.exec(hash) ?? [];
  return id ?? null;
}

/**
 * Return what the list at an address shows. Values that are unknown are left out.
 * @param {string} hash
 * @param {unknown} state  of the history
 * @returns {Selection}
 */
export function selectionAt(hash, state) {
  const values = new URLSearchParams(hash.replace(/^#\/?\??/, ""));
  const [priority, finding, read] = ["priority", "finding", "read"].map((name) => values.get(name) ?? "");
  const q = typeof state === "object" && state !== null && "q" in state ? String(state.q) : "";
  const [, minus, sort = ""] = /^(-?)(\w+)$/.exec(values.get("sort") ?? "") ?? [];
  return {
    filters: { ...(q && { q }), ...(priority && { priority }), ...(finding && { finding }), ...(read && { read: read === "1" }) },
    order: orderBy(/** @type {Sort} */ (SORTS.includes(sort) ? sort : "urgency"), minus === "-"),
  };
}

/**
 * Return an order. The most urgent first, entries that nobody has read come before the others.
 * @param {Sort} sort
 * @param {boolean} descending
 * @returns {Order}
 */
export function orderBy(sort, descending) {
  return { sort, descending, unread_first: sort === "urgency" };
}

/**
 * Return the address of the list.
 * @param {Selection} selection
 */
export function addressOf({ filters, order }) {
  const values = new URLSearchParams();
  if (filters.priority) values.set("priority", filters.priority);
  if (filters.finding) values.set("finding", filters.finding);
  if (filters.read !== undefined) values.set("read", filters.read ? "1" : "0");
  if (order.sort !== "urgency" || order.descending) values.set("sort", (order.descending ? "-" : "") + order.sort);
  return values.size ? `#/?${values}` : "#/";
}

/**
 * Keep what the list shows in the address, so that reloading the page shows the same.
 * @param {Selection} selection
 */
export function keep(selection) {
  history.replaceState({ q: selection.filters.q ?? "" }, "", addressOf(selection));
}

/**
 * Go to a radiograph. From one to another the history does not grow: Back leads to the list.
 * @param {string} id
 */
export function goTo(id) {
  const address = `#/${id}`;
  if (radiographAt(location.hash)) history.replaceState(history.state, "", address);
  else history.pushState({ fromList: true }, "", address);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/**
 * Return to the list, as it was if it was shown before.
 * @param {Selection} selection
 */
export function goBack(selection) {
  if (history.state?.fromList) history.back();
  else {
    keep(selection);
    dispatchEvent(new HashChangeEvent("hashchange"));
  }
}

/** Let links to radiographs behave like `goTo`, unless they are to open another tab. */
export function followLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest('a[href^="#/"]') : null;
    const id = radiographAt(link?.getAttribute("href") ?? "");
    if (!id || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button !== 0) return;
    event.preventDefault();
    goTo(id);
  });
}
