// New radiographs as text.

/** @import { Priority } from "./api.js" */

/**
 * Describe radiographs that have arrived.
 * @param {Priority[]} priorities
 */
export function arrivals(priorities) {
  const stat = priorities.filter((priority) => priority === "STAT").length;
  const count = priorities.length === 1 ? "1 new radiograph" : `${priorities.length} new radiographs`;
  return stat ? `${count}, ${stat} STAT` : count;
}
