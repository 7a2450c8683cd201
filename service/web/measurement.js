// The kinds of measurements, and their values as words. The service computes the values that are kept, in
// service/triage/measurement.py; the page computes them only while a measurement is drawn.

import { angle } from "./angle.js";
import { length, words } from "./ruler.js";

/**
 * @import { PixelHeader } from "./api.js"
 * @import { Point } from "./view.js"
 *
 * @typedef {"length" | "angle" | "cardiothoracic_ratio"} Kind
 * @typedef {{ kind: Kind, points: Point[] }} Shape  points on the image
 * @typedef {{ value: number, unit: string, spacing_from: string | null }} Quantity  unit: mm, px, deg or 1
 */

/** @type {Record<Kind, { name: string, points: number, hint: string }>} */
export const KINDS = {
  length: { name: "Length", points: 2, hint: "Drag, or click both ends" },
  angle: { name: "Angle", points: 3, hint: "Click a point on one arm, the vertex, a point on the other arm" },
  cardiothoracic_ratio: {
    name: "Cardiothoracic ratio",
    points: 4,
    hint: "Drag across the heart at its widest, then across the thorax from inner border to inner border",
  },
};

/** @param {Quantity} quantity */
export function valueWords({ value, unit, spacing_from: source }) {
  if (unit === "deg") return `${value.toFixed(1)}°`;
  if (unit === "1") return value.toFixed(2);
  return words({ value, unit: unit === "mm" && source === "ImagerPixelSpacing" ? "mm at the detector" : unit });
}

/**
 * Return the words beside a measurement on the image.
 * @param {Kind} kind
 * @param {Quantity} value
 */
export function caption(kind, value) {
  return kind === "cardiothoracic_ratio" ? `CTR ${valueWords(value)}` : valueWords(value);
}

/**
 * Return the value of a measurement while it is drawn; null while points are missing.
 * @param {Shape} shape
 * @param {PixelHeader} header
 * @returns {Quantity | null}
 */
export function quantity({ kind, points }, { spacing, spacing_from: source, aspect }) {
  if (points.length < KINDS[kind].points) return null;
  if (kind === "length") {
    const { value } = length(points[0], points[1], spacing && { pair: spacing, from: source });
    return { value, unit: spacing ? "mm" : "px", spacing_from: source };
  }
  if (kind === "angle") return { value: angle(points, spacing ? spacing[0] / spacing[1] : aspect), unit: "deg", spacing_from: null };
  const [heart, thorax] = [points[1].x - points[0].x, points[3].x - points[2].x].map(Math.abs);
  return thorax ? { value: heart / thorax, unit: "1", spacing_from: null } : null;
}
