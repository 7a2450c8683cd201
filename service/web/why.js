// Why a radiograph has its priority, as text: the findings that made it, then the others.

import { label, sentence } from "./findings.js";

/**
 * Return the text in two parts: what made the priority, and what else was found.
 * @param {{ reason: string[], positive: string[] }} entry  labels
 * @returns {[string, string]}
 */
export function why({ reason, positive }) {
  if (!positive.length) return [sentence([]), ""];
  const others = positive.filter((name) => !reason.includes(name)).map(label);
  const first = reason.length ? reason.map(label).join(", ") : "No urgent finding";
  return others.length ? [`${first}.`, `Also ${others.join(", ")}`] : [first, ""];
}
