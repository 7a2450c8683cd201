// Flags above the findings: first those that say how far the findings can be relied on, then the others in one line.

import { element } from "./element.js";
import { flag } from "./findings.js";

const SERIOUS = ["atypical_image", "paediatric", "low_resolution", "polarity_conflict", "orientation_unusual", "window_unusable"];

/**
 * Return the texts of the serious flags, the most serious first.
 * @param {string[]} flags
 */
export function warnings(flags) {
  return SERIOUS.filter((name) => flags.includes(name)).map(flag);
}

/**
 * Return the items of a list of flags.
 * @param {string[]} flags
 */
export function flagItems(flags) {
  const items = warnings(flags).map((text) => element("li", { class: "warning" }, text));
  const others = flags.filter((name) => !SERIOUS.includes(name)).map(flag);
  return others.length ? [...items, element("li", { class: "quiet" }, others.join(" · "))] : items;
}
