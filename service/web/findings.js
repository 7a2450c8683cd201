// Findings and flags in words.

const FLAGS = {
  window_missing: "No window in the file; shown from lowest to highest value",
  window_width_invalid: "The file's window has no width; shown from lowest to highest value",
  voi_function_unknown: "Unknown VOI function, taken as linear",
  polarity_conflict: "Contradictory polarity in the file",
  pixels_not_square: "Pixels are not square",
  view_position_missing: "View position not stated",
  body_part_missing: "Body part not stated",
  presentation_intent_missing: "Presentation intent not stated",
  low_resolution: "Low resolution",
  burned_in_annotation: "Text burned into the image",
  orientation_unusual: "Unusual orientation; shown as it was sent",
};
export const PRIORITIES = { STAT: "STAT", HIGH: "High", ROUTINE: "Routine" };

export function label(name) {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
}

export function flag(name) {
  return FLAGS[name] ?? label(name);
}

/** What is positive, as a reader would say it. */
export function sentence(positive) {
  return positive.length ? positive.map(label).join(", ") : "No finding above its operating point";
}

/** How far over its operating point, in logits; what has none comes last. */
export function margin(finding) {
  if (finding.threshold === null) return -Infinity;
  return logit(finding.probability) - logit(finding.threshold);
}

export function ordered(findings) {
  return [...findings].sort((one, other) => {
    const [first, second] = [margin(one), margin(other)];
    return first === second ? 0 : second - first;
  });
}

/** What the bar's mark means. */
export function operatingPoint(finding) {
  if (finding.threshold === null) return "No operating point: too few positive cases to fix one";
  const names = ["threshold", "sensitivity", "specificity"];
  const [threshold, sensitivity, specificity] = names.map((name) => share(finding[name]));
  return `Operating point ${threshold}: sensitivity ${sensitivity}, specificity ${specificity}`;
}

export function share(value) {
  return value === null ? "–" : value.toFixed(2);
}

export function verdict(finding) {
  if (finding.positive === null) return "no operating point";
  return finding.positive ? "above operating point" : "below operating point";
}

function logit(probability) {
  const clipped = Math.min(Math.max(probability, 1e-7), 1 - 1e-7); // as service/triage/rule.py
  return Math.log(clipped / (1 - clipped));
}
