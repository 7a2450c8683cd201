// The attention map over a radiograph, interpolated bilinearly with half-pixel centres, as the network's region is found
// and as service/objects/overlay.py draws it. It shows where the network was active and does not outline a lesion.

import { context2d } from "./canvas.js";

/**
 * @import { Box } from "./api.js"
 * @import { Size, View } from "./view.js"
 *
 * @typedef {object} Grid
 * @property {number} rows
 * @property {number} columns
 * @property {Float32Array} values  rows * columns
 *
 * @typedef {object} Axis  sampling positions along one axis of the map, one for each pixel of the canvas
 * @property {number} count
 * @property {number} start  position of the first sample, in cells
 * @property {number} step  distance between samples, in cells
 * @property {number} first  first pixel of the canvas that the image covers
 * @property {number} last
 */

export const BACKGROUND = 1 / 3; // the lower third of the range is not drawn; the colours span the rest

/**
 * @param {number[][]} rows
 * @returns {Grid}
 */
export function grid(rows) {
  return { rows: rows.length, columns: rows[0].length, values: Float32Array.from(rows.flat()) };
}

/**
 * Scale a class map, which is not calibrated, to [0, 1]; a constant map becomes zero.
 * @param {Grid} map
 * @returns {Grid}
 */
export function relative(map) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of map.values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const span = high - low;
  return { ...map, values: map.values.map((value) => (span > 0 ? (value - low) / span : 0)) };
}

/**
 * Return the sampling positions along one axis.
 * @param {number} count  pixels of the canvas
 * @param {{ scale: number, offset: number }} view  of this axis
 * @param {number} size  pixels of the image
 * @param {[number, number]} content  part of the map that the image covers, in [0, 1]
 * @param {number} length  cells of the map
 * @returns {Axis}
 */
export function axis(count, view, size, content, length) {
  const step = ((content[1] - content[0]) * length) / (size * view.scale);
  const start = content[0] * length + (0.5 - view.offset) * step - 0.5;
  return { count, start, step, first: view.offset, last: view.offset + size * view.scale };
}

/**
 * Return the interpolated values at all sampling positions, down.count * across.count.
 * @param {Grid} map
 * @param {Axis} across
 * @param {Axis} down
 */
export function sampled(map, across, down) {
  const values = new Float32Array(across.count * down.count);
  eachRow(map, across, down, (row, line) => values.set(line, row * across.count));
  return values;
}

/**
 * Draw a map onto a canvas of its own. Pixels are opaque or clear; the opacity of the map is that of the canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {Grid} map
 * @param {Box} content  part of the map that the image covers, in [0, 1]
 * @param {Uint32Array} table  colour of each of 256 levels
 * @param {{ image: Size, view: View }} placement
 */
export function draw(canvas, map, content, table, { image, view }) {
  const { width, height } = canvas;
  const horizontal = { scale: view.scaleX, offset: view.x };
  const vertical = { scale: view.scaleY, offset: view.y };
  const across = axis(width, horizontal, image.width, [content[0], content[2]], map.columns);
  const down = axis(height, vertical, image.height, [content[1], content[3]], map.rows);
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  const [left, right] = [Math.max(0, Math.ceil(across.first - 0.5)), Math.min(width, Math.ceil(across.last - 0.5))];
  eachRow(map, across, down, (row, line) => {
    if (row + 0.5 < down.first || row + 0.5 >= down.last) return;
    for (let column = left; column < right; column++) {
      const value = line[column];
      if (value > BACKGROUND) {
        const level = ((Math.min(value, 1) - BACKGROUND) * 255) / (1 - BACKGROUND);
        pixels[row * width + column] = table[(level + 0.5) | 0];
      }
    }
  });
  context2d(canvas).putImageData(picture, 0, 0);
}

/**
 * Call `use` with the interpolated values of each row. Rows of the map are blended once for each line of the canvas, and
 * the horizontal neighbours, which are the same in every line, are computed once.
 * @param {Grid} map
 * @param {Axis} across
 * @param {Axis} down
 * @param {(row: number, line: Float32Array) => void} use
 */
function eachRow(map, across, down, use) {
  const horizontal = neighbours(across, map.columns);
  const vertical = neighbours(down, map.rows);
  const blended = new Float32Array(map.columns);
  const line = new Float32Array(across.count);
  for (let row = 0; row < down.count; row++) {
    const [above, below, weight] = [vertical.low[row], vertical.high[row], vertical.weight[row]];
    for (let column = 0; column < map.columns; column++) {
      const upper = map.values[above * map.columns + column];
      blended[column] = upper + (map.values[below * map.columns + column] - upper) * weight;
    }
    for (let column = 0; column < across.count; column++) {
      const left = blended[horizontal.low[column]];
      line[column] = left + (blended[horizontal.high[column]] - left) * horizontal.weight[column];
    }
    use(row, line);
  }
}

/**
 * Return the two cells that each sample lies between and the weight of the second.
 * @param {Axis} samples
 * @param {number} length  cells of the map
 */
function neighbours(samples, length) {
  const [low, high] = [new Int32Array(samples.count), new Int32Array(samples.count)];
  const weight = new Float32Array(samples.count);
  for (let index = 0; index < samples.count; index++) {
    const position = Math.min(length - 1, Math.max(0, samples.start + index * samples.step));
    low[index] = Math.floor(position);
    high[index] = Math.min(low[index] + 1, length - 1);
    weight[index] = position - low[index];
  }
  return { low, high, weight };
}
