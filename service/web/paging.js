// The position in the list, and the buttons that turn its pages.

import { byId } from "./element.js";
import { counted } from "./listing.js";

/** @import { Listing } from "./listing.js" */

/** @param {Listing} listing */
export function showPosition({ items, first, total, counts, hasPrevious, hasNext }) {
  const position = `${first + 1}–${first + items.length} of ${counted(total, counts.counted_to)}`;
  byId("position").textContent = items.length ? position : "";
  byId("page-before", HTMLButtonElement).disabled = !hasPrevious;
  byId("page-after", HTMLButtonElement).disabled = !hasNext;
}
