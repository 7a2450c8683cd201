// Position of the image on the stage: stage = turned(image * scale) + offset, in device pixels. Pure functions on frozen
// values.

import { isOnItsSide, turned, turnedBack } from "./turn.js";

/**
 * @import { Box } from "./api.js"
 * @import { Turn } from "./turn.js"
 *
 * @typedef {{ x: number, y: number }} Point
 * @typedef {{ width: number, height: number }} Size
 * @typedef {Size & { aspect: number }} Image  pixels, and the height of a pixel over its width
 * @typedef {Readonly<{ scaleX: number, scaleY: number, x: number, y: number, turn?: Turn }>} View  upright without a turn
 */

const LARGEST = 64; // device pixels per pixel of the image
const SMALLEST = 1 / 64;

/**
 * Show the whole image, as large as possible.
 * @param {Image} image
 * @param {Size} stage
 * @param {Turn} [turn]
 * @param {Size | null} [beside]  space that a second image takes at a scale of 1: it must fit, too
 */
export function fit(image, stage, turn, beside) {
  const [width, height] = [image.width, image.height * image.aspect];
  const [wide, high] = isOnItsSide(turn) ? [height, width] : [width, height];
  const [widest, highest] = [Math.max(wide, beside?.width ?? 0), Math.max(high, beside?.height ?? 0)];
  return centred(image, stage, Math.min(stage.width / widest, stage.height / highest), turn);
}

/**
 * Show each column of the image as one column of the screen, on whole pixels, so that nothing is interpolated.
 * @param {Image} image
 * @param {Size} stage
 * @param {Turn} [turn]
 */
export function actual(image, stage, turn) {
  return centred(image, stage, 1, turn);
}

/**
 * Zoom about a point of the stage.
 * @param {View} view
 * @param {number} factor
 * @param {Point} at
 * @returns {View}
 */
export function zoomed(view, factor, at) {
  const scale = Math.min(LARGEST, Math.max(SMALLEST, view.scaleX * factor));
  const ratio = scale / view.scaleX;
  return Object.freeze({
    ...view,
    scaleX: scale,
    scaleY: view.scaleY * ratio,
    x: at.x - (at.x - view.x) * ratio,
    y: at.y - (at.y - view.y) * ratio,
  });
}

/**
 * @param {View} view
 * @param {number} dx
 * @param {number} dy
 * @returns {View}
 */
export function panned(view, dx, dy) {
  return Object.freeze({ ...view, x: view.x + dx, y: view.y + dy });
}

/**
 * @param {View} view
 * @param {Point} point
 * @returns {Point}
 */
export function toImage(view, point) {
  const { x, y } = turnedBack(view.turn, { x: point.x - view.x, y: point.y - view.y });
  return { x: x / view.scaleX, y: y / view.scaleY };
}

/**
 * @param {View} view
 * @param {Point} point
 * @returns {Point}
 */
export function toStage(view, point) {
  const { x, y } = turned(view.turn, { x: point.x * view.scaleX, y: point.y * view.scaleY });
  return { x: x + view.x, y: y + view.y };
}

/**
 * Turn the image about a point of the stage.
 * @param {View} view
 * @param {Turn} turn
 * @param {Point} at
 * @returns {View}
 */
export function turnedTo(view, turn, at) {
  const [here, there] = [view, { ...view, turn }].map((one) => toStage(one, toImage(view, at)));
  return Object.freeze({ ...view, turn, x: view.x + here.x - there.x, y: view.y + here.y - there.y });
}

/**
 * Return the whole pixels of the stage that the image covers.
 * @param {View} view
 * @param {Size} image
 * @param {Size} stage
 * @returns {Box}
 */
export function covered(view, image, stage) {
  const end = toStage(view, { x: image.width, y: image.height });
  const [left, top] = [Math.min(view.x, end.x), Math.min(view.y, end.y)];
  const [right, bottom] = [Math.max(view.x, end.x), Math.max(view.y, end.y)];
  const [x0, y0] = [Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top))];
  const [x1, y1] = [Math.min(stage.width, Math.ceil(right)), Math.min(stage.height, Math.ceil(bottom))];
  return [x0, y0, Math.max(x0, x1), Math.max(y0, y1)];
}

/**
 * Show a box of the image, as large as possible.
 * @param {Image} image
 * @param {Box} box
 * @param {Size} stage
 * @returns {View}
 */
export function fitBox(image, box, stage) {
  const [x0, y0, x1, y1] = box;
  const part = fit({ width: x1 - x0, height: y1 - y0, aspect: image.aspect }, stage);
  return Object.freeze({ ...part, x: part.x - x0 * part.scaleX, y: part.y - y0 * part.scaleY });
}

/**
 * @param {Image} image
 * @param {Size} stage
 * @param {number} scale
 * @param {Turn} [turn]
 * @returns {View}
 */
function centred(image, stage, scale, turn) {
  const scaleY = scale * image.aspect;
  const extent = turned(turn, { x: image.width * scale, y: image.height * scaleY });
  return Object.freeze({
    scaleX: scale,
    scaleY,
    x: Math.round((stage.width - extent.x) / 2),
    y: Math.round((stage.height - extent.y) / 2),
    ...(turn && { turn }),
  });
}
