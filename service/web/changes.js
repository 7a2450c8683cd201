// The change of each finding's probability since a prior, in the list of findings.

import { date } from "./age.js";
import { byId, element } from "./element.js";
import { number } from "./findings.js";
import { TRIAGE_ONLY } from "./presentation.js";

/** @import { Entry, Prediction } from "./api.js" */

/**
 * Show the changes since a prior, or none. Probabilities of two artefacts are not compared: they are calibrated apart.
 * @param {Prediction} current
 * @param {{ prediction: Prediction, entry: Entry } | null} prior
 */
export function showChanges(current, prior) {
  for (const old of byId("bars").querySelectorAll(".change, .change-words")) old.remove();
  const isComparable = prior !== null && prior.prediction.model.sha256 === current.model.sha256;
  byId("bars").classList.toggle("with-changes", isComparable && !TRIAGE_ONLY);
  byId("changes").textContent = prior && !TRIAGE_ONLY ? heading(prior, isComparable) : "";
  if (!isComparable || TRIAGE_ONLY) return;
  const before = new Map(prior.prediction.findings.map((finding) => [finding.label, finding.probability]));
  for (const { label, probability } of current.findings) {
    const button = byId("bars").querySelector(`[data-label="${CSS.escape(label)}"]`);
    const earlier = before.get(label) ?? null;
    if (!button || probability === null || earlier === null) continue;
    const text = change(probability, earlier);
    const sentence = `${number(probability)}, ${text} ${text === "the same" ? "as" : "than"} on ${date(prior.entry.study.date)}`;
    button.append(
      element("span", { class: "change", "aria-hidden": "true", title: sentence }, text),
      element("span", { class: "unseen change-words" }, `${sentence}. `),
    );
  }
}

/**
 * Say how a probability has changed, from the two decimals that are shown of each.
 * @param {number} now
 * @param {number} before
 */
export function change(now, before) {
  const difference = Number(number(now)) - Number(number(before));
  if (Math.abs(difference) < 0.005) return "the same";
  return `${number(Math.abs(difference))} ${difference > 0 ? "higher" : "lower"}`;
}

/**
 * @param {{ prediction: Prediction, entry: Entry }} prior
 * @param {boolean} isComparable
 */
function heading({ prediction: { model }, entry: { study } }, isComparable) {
  const when = date(study.date);
  if (isComparable) return `Probability, and its change since ${when}`;
  return `Other artefact on ${when} (${model.name} ${model.version}, ${model.sha256.slice(0, 12)}): no change is shown`;
}
