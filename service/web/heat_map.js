// The attention map over a radiograph, interpolated by quadratic B-splines with half-pixel centres and with an opacity
// that follows its value, as service/objects/overlay.py draws it. It shows where the network was active and does not
// outline a lesion.

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
 *
 * @typedef {{ cells: Int32Array, weights: Float32Array }} Weights  three of each for every sample
 */

const SOFTNESS = 2; // logits, as in service/objects/overlay.py
const LINE = 0x60ffffff; // colour of the lines between cells

/**
 * @param {number[][]} rows
 * @returns {Grid}
 */
export function grid(rows) {
  return { rows: rows.length, columns: rows[0].length, values: Float32Array.from(rows.flat()) };
}

/**
 * Scale a class map in logits to [0, 1].
 * @param {Grid} map
 * @param {number | null} reference  value that becomes a half; null for the map's own maximum, and none if it is flat
 * @returns {Grid}
 */
export function scaled(map, reference) {
  const [low, high] = [Math.min(...map.values), Math.max(...map.values)];
  if (reference === null && low === high) return { ...map, values: new Float32Array(map.values.length) };
  const middle = reference ?? high;
  return { ...map, values: map.values.map((value) => 1 / (1 + Math.exp((middle - value) / SOFTNESS))) };
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
  const blend = { horizontal: splines(across, map.columns), vertical: splines(down, map.rows) };
  eachRow(map, blend, (row, line) => values.set(line, row * across.count));
  return values;
}

/**
 * Draw a map onto a canvas of its own. A pixel is as opaque as its value; the opacity of the strongest is that of the canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {{ map: Grid, content: Box, table: Uint32Array, cells: boolean }} heat  content: part of the map that the image
 *   covers, in [0, 1]; table: colour of each of 256 levels; cells: draw the cells of the grid as they are
 * @param {{ image: Size, view: View }} placement
 */
export function draw(canvas, { map, content, table, cells }, { image, view }) {
  const { width, height } = canvas;
  const horizontal = { scale: view.scaleX, offset: view.x };
  const vertical = { scale: view.scaleY, offset: view.y };
  const across = axis(width, horizontal, image.width, [content[0], content[2]], map.columns);
  const down = axis(height, vertical, image.height, [content[1], content[3]], map.rows);
  const weights = cells ? steps : splines;
  const blend = { horizontal: weights(across, map.columns), vertical: weights(down, map.rows) };
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  const [left, right] = [Math.max(0, Math.ceil(across.first - 0.5)), Math.min(width, Math.ceil(across.last - 0.5))];
  eachRow(map, blend, (row, line) => {
    if (row + 0.5 < down.first || row + 0.5 >= down.last) return;
    const isEdge = cells && startsCell(blend.vertical, row);
    for (let column = left; column < right; column++) {
      const isLine = isEdge || (cells && startsCell(blend.horizontal, column));
      pixels[row * width + column] = isLine ? LINE : table[(Math.min(line[column], 1) * 255 + 0.5) | 0];
    }
  });
  context2d(canvas).putImageData(picture, 0, 0);
}

/**
 * Call `use` with the interpolated values of each row. Rows of the map are blended once for each line of the canvas, and
 * the weights of the columns, which are the same in every line, are computed once.
 * @param {Grid} map
 * @param {{ horizontal: Weights, vertical: Weights }} blend
 * @param {(row: number, line: Float32Array) => void} use
 */
function eachRow({ values, columns }, { horizontal, vertical }, use) {
  const count = horizontal.cells.length / 3;
  const blended = new Float32Array(columns);
  const line = new Float32Array(count);
  for (let row = 0; row < vertical.cells.length / 3; row++) {
    const [a, b, c] = vertical.cells.subarray(3 * row, 3 * row + 3).map((cell) => cell * columns);
    const [above, middle, below] = vertical.weights.subarray(3 * row, 3 * row + 3);
    for (let column = 0; column < columns; column++) {
      blended[column] = values[a + column] * above + values[b + column] * middle + values[c + column] * below;
    }
    for (let column = 0, at = 0; column < count; column++, at += 3) {
      line[column] = blended[horizontal.cells[at]] * horizontal.weights[at]
        + blended[horizontal.cells[at + 1]] * horizontal.weights[at + 1]
        + blended[horizontal.cells[at + 2]] * horizontal.weights[at + 2];
    }
    use(row, line);
  }
}

/**
 * Return the three cells about each sample and their shares by a quadratic B-spline; edge cells are repeated beyond them.
 * Bilinear interpolation has creases along the grid, which look like outlines.
 * @param {Axis} samples
 * @param {number} length  cells of the map
 * @returns {Weights}
 */
function splines(samples, length) {
  return weighted(samples, length, (offset) => [(0.5 - offset) ** 2 / 2, 0.75 - offset ** 2, (0.5 + offset) ** 2 / 2]);
}

/**
 * Return the weights with which every sample has the value of its own cell.
 * @param {Axis} samples
 * @param {number} length  cells of the map
 * @returns {Weights}
 */
function steps(samples, length) {
  return weighted(samples, length, () => [0, 1, 0]);
}

/**
 * @param {Axis} samples
 * @param {number} length
 * @param {(offset: number) => number[]} shares  by the distance from the nearest cell's centre, in [-0.5, 0.5)
 * @returns {Weights}
 */
function weighted(samples, length, shares) {
  const cells = new Int32Array(3 * samples.count);
  const weights = new Float32Array(3 * samples.count);
  for (let index = 0; index < samples.count; index++) {
    const position = samples.start + index * samples.step;
    const nearest = Math.floor(position + 0.5);
    weights.set(shares(position - nearest), 3 * index);
    for (let step = -1; step <= 1; step++) {
      cells[3 * index + 1 + step] = Math.min(length - 1, Math.max(0, nearest + step));
    }
  }
  return { cells, weights };
}

/**
 * Whether a sample is the first one in its cell.
 * @param {Weights} weights
 * @param {number} index
 */
function startsCell({ cells }, index) {
  return index > 0 && cells[3 * index + 1] !== cells[3 * index - 2];
}
