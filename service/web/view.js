// Position of the image on the stage: stage = image * scale + offset, in device pixels. Pure functions on frozen values.

/**
 * @import { Box } from "./api.js"
 *
 * @typedef {{ x: number, y: number }} Point
 * @typedef {{ width: number, height: number }} Size
 * @typedef {Size & { aspect: number }} Image  pixels, and the height of a pixel over its width
 * @typedef {Readonly<{ scaleX: number, scaleY: number, x: number, y: number }>} View
 */

const LARGEST = 64; // device pixels per pixel of the image
const SMALLEST = 1 / 64;

/**
 * Show the whole image, as large as possible.
 * @param {Image} image
 * @param {Size} stage
 */
export function fit(image, stage) {
  const scale = Math.min(stage.width / image.width, stage.height / (image.height * image.aspect));
  return centred(image, stage, scale);
}

/**
 * Show each column of the image as one column of the screen, on whole pixels, so that nothing is interpolated.
 * @param {Image} image
 * @param {Size} stage
 */
export function actual(image, stage) {
  return centred(image, stage, 1);
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
  return { x: (point.x - view.x) / view.scaleX, y: (point.y - view.y) / view.scaleY };
}

/**
 * @param {View} view
 * @param {Point} point
 * @returns {Point}
 */
export function toStage(view, point) {
  return { x: point.x * view.scaleX + view.x, y: point.y * view.scaleY + view.y };
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
  const [x0, y0] = [Math.max(0, Math.floor(view.x)), Math.max(0, Math.floor(view.y))];
  const [x1, y1] = [Math.min(stage.width, Math.ceil(end.x)), Math.min(stage.height, Math.ceil(end.y))];
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
 * @returns {View}
 */
function centred(image, stage, scale) {
  const scaleY = scale * image.aspect;
  return Object.freeze({
    scaleX: scale,
    scaleY,
    x: Math.round((stage.width - image.width * scale) / 2),
    y: Math.round((stage.height - image.height * scaleY) / 2),
  });
}
