// Entry point of the page of statistics: the period, and what the service counted in it.

import { json, save } from "./api.js";
import { byId } from "./element.js";
import { showMeasures } from "./measures.js";
import { words } from "./problem.js";
import { say } from "./toast.js";

/** @import { Statistics } from "./measures.js" */

/** @type {Statistics | null} */
let shown = null;

/** Show the period in the address, or the last twelve weeks. */
async function show() {
  byId("message").textContent = "Loading";
  try {
    /** @type {Statistics} */
    const statistics = await json(`statistics${location.search}`);
    shown = statistics;
    field("first").value = statistics.first;
    field("last").value = statistics.last;
    byId("message").textContent = "";
    byId("measures").hidden = false;
    showMeasures(statistics);
  } catch (error) {
    byId("measures").hidden = true;
    byId("message").textContent = words(error);
  }
}

/** @param {"first" | "last"} id */
function field(id) {
  return byId(id, HTMLInputElement);
}

function address() {
  return `?${new URLSearchParams({ first: field("first").value, last: field("last").value })}`;
}

byId("period").addEventListener("submit", (event) => {
  event.preventDefault();
  history.pushState(null, "", address());
  show();
});
byId("export").addEventListener("click", () => {
  if (!shown) return;
  const { first, last } = shown;
  const query = new URLSearchParams({ first, last });
  save(`statistics_${first}_${last}.csv`, `statistics.csv?${query}`).catch((error) => say(words(error), "problem"));
});
addEventListener("popstate", show);
addEventListener("resize", () => shown && showMeasures(shown));
show();
