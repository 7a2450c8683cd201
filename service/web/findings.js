// Findings and flags as text.

/** @import { Finding, Priority } from "./api.js" */

/** @type {Record<string, string>} */
const FLAGS = {
  atypical_image: "Not like the radiographs the network knows: do not rely on this.",
  window_missing: "No window in the file; shown over the full range of values",
  window_width_invalid: "Invalid window width in the file; shown over the full range of values",
  window_unusable: "The window in the file shows no pixel; shown over the full range of values",
  voi_lut_unusable: "Unusable VOI LUT in the file; shown without it",
  display_shutter: "Display shutter in the file; black outside it",
  display_shutter_unusable: "Unusable display shutter in the file; ignored",
  uid_leading_zero: "UID with leading zeros; used as it is",
  trailing_data: "Data after the end of the file; ignored",
  voi_function_unknown: "Unknown VOI LUT function; treated as linear",
  bits_stored_wrong: "Pixel values are deeper than the file states",
  polarity_conflict: "Contradictory greyscale polarity in the file",
  pixels_not_square: "Pixels are not square",
  view_position_missing: "View position not stated",
  body_part_missing: "Body part not stated",
  presentation_intent_missing: "Presentation intent not stated",
  low_resolution: "Low resolution",
  burned_in_annotation: "Text burned into the image",
  orientation_unusual: "Unusual orientation; shown as stored",
  paediatric: "Patient under 18; networks of this kind are less accurate on children",
};
/** @type {Record<Priority, string>} */
export const PRIORITIES = { STAT: "STAT", HIGH: "High", ROUTINE: "Routine" };

/**
 * Return a label as text in lower case, but for the first letter and for abbreviations such as COPD.
 * @param {string} name
 */
export function label(name) {
  const words = name.split(/[_ ]+/).map((word) => (/^.+\p{Lu}/u.test(word) ? word : word.toLowerCase()));
  const text = words.join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {string} name */
export function flag(name) {
  return FLAGS[name] ?? label(name);
}

/**
 * Describe the positive findings.
 * @param {string[]} positive  labels
 */
export function sentence(positive) {
  return positive.length ? positive.map(label).join(", ") : "No finding above its operating point";
}

/**
 * Return the distance from the threshold in logits, or -Infinity without an operating point.
 * @param {Finding} finding
 */
export function margin(finding) {
  if (finding.probability === null || finding.threshold === null) return -Infinity;
  return logit(finding.probability) - logit(finding.threshold);
}

/**
 * Return the findings by descending margin.
 * @param {Finding[]} findings
 */
export function ordered(findings) {
  return [...findings].sort((one, other) => {
    const [first, second] = [margin(one), margin(other)];
    return first === second ? 0 : second - first;
  });
}

/**
 * Describe the operating point of a finding.
 * @param {Finding} finding
 */
export function operatingPoint({ threshold, sensitivity, specificity }) {
  if (threshold === null) return "No operating point: too few positive cases, or too few of them found, to rely on one";
  return `Operating point ${number(threshold)}: sensitivity ${number(sensitivity)}, specificity ${number(specificity)}`;
}

/**
 * Format a number in [0, 1] with two decimals.
 * @param {number | null} value
 */
export function number(value) {
  return value === null ? "–" : value.toFixed(2);
}

/**
 * Say what examined the region in the attention box.
 * @param {boolean} secondLook
 */
export function examined(secondLook) {
  const region = "Region in the attention box";
  return secondLook ? `${region}, which the local branch analysed` : `${region}; this model takes no second look at it`;
}

/** @param {Finding} finding */
export function verdict(finding) {
  if (finding.positive === null) return "no operating point";
  return finding.positive ? "above operating point" : "below operating point";
}

/** @param {number} probability */
function logit(probability) {
  const clipped = Math.min(Math.max(probability, 1e-7), 1 - 1e-7); // as in service/triage/rule.py
  return Math.log(clipped / (1 - clipped));
}
