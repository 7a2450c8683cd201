// How a radiograph is turned on the screen: rotated in quarters, then mirrored. The values, their places, and everything
// that is stored stay those of the file.

import { context2d } from "./canvas.js";

/**
 * @import { Point, View } from "./view.js"
 *
 * @typedef {Readonly<{ quarters: number, mirrored: boolean }>} Turn  quarters clockwise, 0 to 3
 * @typedef {{ left: string, right: string, top: string, bottom: string }} Letters
 */

/** @type {Turn} */
export const UPRIGHT = Object.freeze({ quarters: 0, mirrored: false });
/** @type {(keyof Letters)[]} */
const CLOCKWISE = ["top", "right", "bottom", "left"];
/** @type {WeakMap<HTMLCanvasElement, HTMLCanvasElement>} */
const uprights = new WeakMap(); // the canvas on which each turned one is first drawn upright

/**
 * Rotate by a quarter, clockwise as it is seen.
 * @param {Turn} turn
 * @returns {Turn}
 */
export function rotated({ quarters, mirrored: isMirrored }) {
  return { quarters: (quarters + (isMirrored ? 3 : 1)) % 4, mirrored: isMirrored };
}

/**
 * Exchange left and right as they are seen.
 * @param {Turn} turn
 * @returns {Turn}
 */
export function mirrored(turn) {
  return { ...turn, mirrored: !turn.mirrored };
}

/**
 * Say how the picture is turned; empty if it is upright.
 * @param {Turn} [turn]
 */
export function words({ quarters, mirrored: isMirrored } = UPRIGHT) {
  const parts = [quarters && `rotated ${90 * quarters}°`, isMirrored && "mirrored"].filter(Boolean).join(" · ");
  return parts.charAt(0).toUpperCase() + parts.slice(1);
}

/**
 * Whether the rows of the image are the columns of the screen.
 * @param {Turn} [turn]
 */
export function isOnItsSide({ quarters } = UPRIGHT) {
  return quarters % 2 === 1;
}

/**
 * Return the matrix a, b, c, d, as a canvas takes it: (x, y) is seen at (ax + cy, bx + dy).
 * @param {Turn} [turn]
 * @returns {[number, number, number, number]}
 */
export function matrix({ quarters, mirrored: isMirrored } = UPRIGHT) {
  const [cosine, sine] = [[1, 0], [0, 1], [-1, 0], [0, -1]][quarters];
  return isMirrored ? [0 - cosine, sine, sine, cosine] : [cosine, sine, 0 - sine, cosine];
}

/**
 * @param {Turn | undefined} turn
 * @param {Point} point
 * @returns {Point}
 */
export function turned(turn, { x, y }) {
  const [a, b, c, d] = matrix(turn);
  return { x: a * x + c * y, y: b * x + d * y };
}

/**
 * @param {Turn | undefined} turn
 * @param {Point} point
 * @returns {Point}
 */
export function turnedBack(turn, { x, y }) {
  const [a, b, c, d] = matrix(turn);
  return { x: a * x + b * y, y: c * x + d * y };
}

/**
 * Return the letters at the edges of the turned picture.
 * @param {Letters} letters  of the upright one
 * @param {Turn} [turn]
 * @returns {Letters}
 */
export function turnedLetters(letters, { quarters, mirrored: isMirrored } = UPRIGHT) {
  const [top, right, bottom, left] = CLOCKWISE.map((_, index) => letters[CLOCKWISE[(index + 4 - quarters) % 4]]);
  return isMirrored ? { top, right: left, bottom, left: right } : { top, right, bottom, left };
}

/**
 * Let `draw` draw a view, which it draws upright: onto the canvas itself, or onto another that is then copied turned.
 * @param {HTMLCanvasElement} canvas
 * @param {View} view
 * @param {(canvas: HTMLCanvasElement, view: View) => void} draw
 */
export function drawTurned(canvas, view, draw) {
  if (!words(view.turn)) {
    draw(canvas, view);
    return;
  }
  const upright = uprights.get(canvas) ?? document.createElement("canvas");
  uprights.set(canvas, upright);
  const { width, height } = canvas;
  const [wide, high] = isOnItsSide(view.turn) ? [height, width] : [width, height];
  if (upright.width !== wide || upright.height !== high) [upright.width, upright.height] = [wide, high];
  const [a, b, c, d] = matrix(view.turn);
  const corner = { x: a + c < 0 ? width : 0, y: b + d < 0 ? height : 0 }; // where the first pixel comes to lie
  const origin = turnedBack(view.turn, { x: view.x - corner.x, y: view.y - corner.y });
  draw(upright, { scaleX: view.scaleX, scaleY: view.scaleY, ...origin });
  const context = context2d(canvas);
  context.save();
  context.clearRect(0, 0, width, height);
  context.setTransform(a, b, c, d, corner.x, corner.y);
  context.imageSmoothingEnabled = false; // pixel to pixel
  context.drawImage(upright, 0, 0);
  context.restore();
}
