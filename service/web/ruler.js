// Lengths on the image. With Imager Pixel Spacing the length is that at the detector, which is larger than in the patient
// by an unknown magnification; the unit says so (PS3.3 10.7.1.3).

/**
 * @import { Point } from "./view.js"
 *
 * @typedef {object} Spacing
 * @property {[number, number]} pair  millimetres between rows, between columns
 * @property {string | null} from  keyword of the attribute
 *
 * @typedef {{ value: number, unit: string }} Length
 */

/**
 * @param {Point} from
 * @param {Point} to
 * @param {Spacing | null} spacing
 * @returns {Length}
 */
export function length(from, to, spacing) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  if (!spacing) return { value: Math.hypot(dx, dy), unit: "px" };
  const [row, column] = spacing.pair;
  const unit = spacing.from === "ImagerPixelSpacing" ? "mm at the detector" : "mm";
  return { value: Math.hypot(dx * column, dy * row), unit };
}

/** @param {Length} length */
export function words({ value, unit }) {
  return unit === "px" ? `${value.toFixed(0)} px` : `${value.toFixed(1)} ${unit}`;
}
