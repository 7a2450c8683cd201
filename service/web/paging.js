// The position in the list, and the buttons that turn its pages.

import { byId } from "./element.js";

/** @import { Listing } from "./listing.js" */

/** @param {Listing} listing */
export function showPosition({ items, first, total, hasPrevious, hasNext }) {
  const position = `${first + 1}–${first + items.length} of ${total.toLocaleString("en")}`;
  byId("position").textContent = items.length ? position : "";
  byId("page-before", HTMLButtonElement).disabled = !hasPrevious;
  byId("page-after", HTMLButtonElement).disabled = !hasNext;
}
