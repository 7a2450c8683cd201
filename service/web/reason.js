// Why a radiograph has its priority, as text; and the finding whose map is shown first.

import { label, margin, sentence } from "./findings.js";

/** @import { Finding } from "./api.js" */

/**
 * Return the text in two parts: what made the priority, and what else was found.
 * @param {string[]} reason  labels
 * @param {string[]} positive  labels, with those of the reason
 * @returns {[string, string]}
 */
export function why(reason, positive) {
  if (!positive.length) return [sentence([]), ""];
  const others = positive.filter((name) => !reason.includes(name)).map(label);
  const first = reason.length ? reason.map(label).join(", ") : "No urgent finding";
  return others.length ? [`${first}.`, `Also ${others.join(", ")}`] : [first, ""];
}

/**
 * Return both parts in one text.
 * @param {string[]} reason  labels
 * @param {string[]} positive  labels, with those of the reason
 */
export function reasoned(reason, positive) {
  return why(reason, positive).join(" ").trim();
}

/**
 * Return the finding that is farthest above its threshold of those that made the priority, or else of all positive ones;
 * null if nothing is positive. As `Prediction.leading` in service/triage/prediction.py.
 * @param {{ reason: string[], findings: Finding[] }} prediction
 */
export function leading({ reason, findings }) {
  const positive = findings.filter((finding) => finding.positive);
  const made = positive.filter((finding) => reason.includes(finding.label));
  const candidates = made.length ? made : positive;
  return candidates.reduce((best, one) => (best && margin(best) >= margin(one) ? best : one), candidates[0]) ?? null;
}
