// The unread radiographs in the header: how many of each priority, and how long the oldest STAT one has waited.

import { duration } from "./age.js";
import { byId, element } from "./element.js";
import { PRIORITIES } from "./findings.js";
import { counted } from "./listing.js";

/** @import { Page, Priority } from "./api.js" */

/** @type {string | null} */
let oldest = null; // time of the oldest unread STAT radiograph

/** @param {Pick<Page, "counted_to" | "unread" | "oldest_unread_stat">} page */
export function showUnread({ counted_to, unread, oldest_unread_stat }) {
  oldest = oldest_unread_stat;
  byId("unread").replaceChildren(...Object.entries(PRIORITIES).map(([name, text]) => {
    const count = element("b", {}, counted(unread[/** @type {Priority} */ (name)], counted_to));
    const more = { STAT: element("span", { id: "oldest" }), HIGH: "", ROUTINE: " unread" }[/** @type {Priority} */ (name)];
    return element("li", { class: name.toLowerCase() }, count, ` ${text}`, more);
  }));
  document.title = unread.STAT ? `(${counted(unread.STAT, counted_to)} STAT) AG-CNN triage` : "AG-CNN triage";
  updateOldest();
}

/** Show the age of the oldest unread STAT radiograph as it is now. */
export function updateOldest() {
  const place = document.getElementById("oldest");
  const text = oldest ? `, oldest ${duration(Date.now() - Date.parse(oldest))}` : "";
  if (place && place.textContent !== text) place.textContent = text;
}
