// Measurements as lines over the image. Their points are on the image; `place` says where these are on the stage.

import { svg } from "./svg.js";

/**
 * @import { Shape } from "./measurement.js"
 * @import { Point } from "./view.js"
 *
 * @typedef {Shape & { caption: string }} Drawing
 * @typedef {(point: Point) => Point} Place
 */

const INK = "#ffd84d";
const TICK = 7; // half the length of the line across each end of a width, CSS pixels

/**
 * Return a yellow line on a broader dark one, visible on bone and on air, with the value beside its end.
 * @param {Drawing} drawing
 * @param {Place} place
 * @param {number} ratio  device pixels per CSS pixel
 */
export function measurementLines({ kind, points, caption }, place, ratio) {
  const placed = points.map(place);
  const isWidths = kind === "cardiothoracic_ratio";
  const lines = isWidths ? [placed.slice(0, 2), placed.slice(2)] : [placed];
  const ticks = isWidths ? lines.flatMap((line) => ends(line, ratio)) : [];
  const parts = [...lines, ...ticks].filter((line) => line.length > 1).flatMap((line) => stroked(line, ratio));
  const end = placed.at(-1);
  if (!end || !caption) return parts;
  const text = svg("text", { x: end.x + 8 * ratio, y: end.y - 8 * ratio, "font-size": 14 * ratio, class: "length" });
  text.textContent = caption;
  return [...parts, text];
}

/**
 * @param {Point[]} line
 * @param {number} ratio
 */
function stroked(line, ratio) {
  const points = line.map(({ x, y }) => `${x},${y}`).join(" ");
  return [
    svg("polyline", { points, fill: "none", stroke: "#000", "stroke-width": 4 * ratio, "stroke-opacity": 0.7 }),
    svg("polyline", { points, fill: "none", stroke: INK, "stroke-width": 1.5 * ratio }),
  ];
}

/**
 * Return short lines across the ends of a line, whatever its direction on the stage.
 * @param {Point[]} line
 * @param {number} ratio
 * @returns {Point[][]}
 */
function ends(line, ratio) {
  if (line.length < 2) return [];
  const [from, to] = line;
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const across = { x: (-(to.y - from.y) / length) * TICK * ratio, y: ((to.x - from.x) / length) * TICK * ratio };
  return line.map(({ x, y }) => [{ x: x - across.x, y: y - across.y }, { x: x + across.x, y: y + across.y }]);
}
