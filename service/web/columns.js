// The heads of the list's columns, which sort it.

import { byId, targetOf } from "./element.js";
import { orderBy } from "./place.js";

/** @import { Order, Sort } from "./api.js" */

/**
 * Sort the list by the column whose head is pressed; in the reverse order when it is pressed again, and the most urgent
 * first when it is pressed a third time.
 * @param {() => Order} current
 * @param {(order: Order) => void} sort
 */
export function listenToColumns(current, sort) {
  byId("columns").addEventListener("click", (event) => {
    const button = targetOf(event).closest("button[data-sort]");
    const name = /** @type {Sort | null | undefined} */ (button?.getAttribute("data-sort"));
    if (!name) return;
    const { sort: before, descending } = current();
    if (name !== before) sort(orderBy(name, false));
    else if (!descending) sort(orderBy(name, true));
    else sort(orderBy("urgency", false));
  });
}

/** @param {Order} order */
export function showOrder({ sort, descending }) {
  for (const button of byId("columns").querySelectorAll("button[data-sort]")) {
    const isChosen = button.getAttribute("data-sort") === sort;
    // The time received ascends while the waiting time, which the column shows, descends; as do priorities by urgency.
    const isReverse = sort === "received" || sort === "urgency";
    const direction = descending === isReverse ? "ascending" : "descending";
    button.closest("th")?.setAttribute("aria-sort", isChosen ? direction : "none");
  }
}
