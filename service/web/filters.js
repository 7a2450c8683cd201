// The filters above the worklist.

import { byId } from "./element.js";

/** @import { Filters } from "./api.js" */

/**
 * Return a field of the filters by its name.
 * @param {string} name
 */
export function field(name) {
  const existing = byId("filters", HTMLFormElement).elements.namedItem(name);
  if (existing instanceof HTMLInputElement || existing instanceof HTMLSelectElement) return existing;
  throw new TypeError(`the filters have no field ${name}`);
}

/**
 * Return the filters that are set.
 * @returns {Filters}
 */
export function chosenFilters() {
  const values = { q: field("q").value.trim(), priority: field("priority").value, finding: field("finding").value };
  const set = Object.fromEntries(Object.entries(values).filter(([, value]) => value));
  const read = field("read").value;
  return read ? { ...set, read: read === "1" } : set;
}

/**
 * Show filters in their fields.
 * @param {Filters} filters
 */
export function showFilters({ q = "", priority = "", finding = "", read }) {
  const chosen = { q, priority, finding, read: read === undefined ? "" : read ? "1" : "0" };
  for (const [name, value] of Object.entries(chosen)) field(name).value = value;
}
