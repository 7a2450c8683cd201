// The stored values of a radiograph. Only the visible part is drawn, at about the resolution of the screen: a pyramid of
// levels, each half the size of the one before, makes a small picture an average rather than a selection of pixels.

import { context2d } from "./canvas.js";

/**
 * @import { PixelHeader } from "./api.js"
 * @import { View } from "./view.js"
 *
 * @typedef {{ values: Uint16Array, width: number, height: number }} Level
 */

export class Raster {
  #scratch = document.createElement("canvas");
  #pixels = new ImageData(1, 1);
  /** @type {unknown[]} */
  #painted = []; // what the scratch canvas holds; a second pane draws the same again

  /**
   * @param {Uint16Array} values  rows * columns
   * @param {Pick<PixelHeader, "rows" | "columns" | "aspect" | "padding">} header
   */
  constructor(values, { columns, rows, aspect, padding }) {
    this.width = columns;
    this.height = rows;
    this.aspect = aspect;
    this.padding = padding;
    this.range = range(values, padding);
    /** @type {Level[]} */
    this.levels = [{ values, width: columns, height: rows }];
  }

  /**
   * Return the stored value at a point, or null outside of the image.
   * @param {number} x
   * @param {number} y
   */
  at(x, y) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    const inside = column >= 0 && row >= 0 && column < this.width && row < this.height;
    return inside ? this.levels[0].values[row * this.width + column] : null;
  }

  /**
   * Draw onto a canvas.
   * @param {HTMLCanvasElement} canvas
   * @param {View} view
   * @param {Uint32Array} greys  colour of each of 65536 stored values
   * @param {boolean} moving  draw quickly, from the level nearest to the resolution of the screen
   */
  draw(canvas, view, greys, moving) {
    const context = context2d(canvas, { alpha: false });
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const depth = depthFor(view, moving);
    const level = this.#level(depth);
    const [scaleX, scaleY] = [view.scaleX * 2 ** depth, view.scaleY * 2 ** depth];
    const [x0, x1] = visible(view.x, scaleX, canvas.width, level.width);
    const [y0, y1] = visible(view.y, scaleY, canvas.height, level.height);
    if (x1 <= x0 || y1 <= y0) return;
    this.#paint(level, greys, [x0, y0, x1, y1]);
    context.save();
    context.beginPath(); // clip: with an odd size, the last pixel of a level extends beyond the image
    context.rect(view.x, view.y, this.width * view.scaleX, this.height * view.scaleY);
    context.clip();
    context.imageSmoothingEnabled = scaleX !== 1 || scaleY !== 1;
    context.imageSmoothingQuality = moving ? "low" : "high";
    const [width, height] = [x1 - x0, y1 - y0];
    const [left, top] = [view.x + x0 * scaleX, view.y + y0 * scaleY];
    context.drawImage(this.#scratch, 0, 0, width, height, left, top, width * scaleX, height * scaleY);
    context.restore();
  }

  /** @param {number} depth */
  #level(depth) {
    while (this.levels.length <= depth) this.levels.push(halved(this.levels[this.levels.length - 1], this.padding));
    return this.levels[depth];
  }

  /**
   * Paint a part of a level onto the scratch canvas.
   * @param {Level} level
   * @param {Uint32Array} greys
   * @param {[number, number, number, number]} part
   */
  #paint(level, greys, part) {
    const painted = [level, greys, ...part];
    if (painted.every((value, index) => value === this.#painted[index])) return;
    this.#painted = painted;
    const [x0, y0, x1, y1] = part;
    const [width, height] = [x1 - x0, y1 - y0];
    if (this.#scratch.width !== width || this.#scratch.height !== height) {
      [this.#scratch.width, this.#scratch.height] = [width, height];
      this.#pixels = new ImageData(width, height);
    }
    const colours = new Uint32Array(this.#pixels.data.buffer);
    const { values } = level;
    for (let row = 0; row < height; row++) {
      let from = (row + y0) * level.width + x0;
      let to = row * width;
      for (const end = to + width; to < end; to++, from++) colours[to] = greys[values[from]];
    }
    context2d(this.#scratch, { alpha: false }).putImageData(this.#pixels, 0, 0);
  }
}

/**
 * Return how many times the image is halved before it is drawn.
 * @param {View} view
 * @param {boolean} moving
 */
function depthFor(view, moving) {
  const halvings = Math.log2(1 / Math.max(view.scaleX, view.scaleY));
  return Math.max(0, moving ? Math.round(halvings) : Math.floor(halvings + 1e-6));
}

/**
 * Average blocks of 2 x 2 pixels, smaller at an odd edge. Padding pixels are left out.
 * @param {Level} level
 * @param {number | null} padding
 * @returns {Level}
 */
export function halved(level, padding = null) {
  const { values: from, width: wide } = level;
  const [width, height] = [Math.ceil(wide / 2), Math.ceil(level.height / 2)];
  const values = new Uint16Array(width * height);
  const whole = wide >> 1; // complete pairs; this inner loop visits every pixel of the radiograph
  for (let row = 0, to = 0; row < height; row++) {
    let above = 2 * row * wide;
    let below = 2 * row + 1 < level.height ? above + wide : above;
    for (let column = 0; column < whole; column++, above += 2, below += 2) {
      values[to++] = average(from[above], from[above + 1], from[below], from[below + 1], padding);
    }
    if (whole < width) values[to++] = average(from[above], from[above], from[below], from[below], padding);
  }
  return { values, width, height };
}

/**
 * @param {number} a
 * @param {number} b
 * @param {number} c
 * @param {number} d
 * @param {number | null} padding
 */
function average(a, b, c, d, padding) {
  const hasPadding = a === padding || b === padding || c === padding || d === padding;
  if (!hasPadding || padding === null) return (a + b + c + d + 2) >> 2;
  const values = [a, b, c, d].filter((value) => value !== padding);
  return values.length ? Math.round(values.reduce((sum, value) => sum + value) / values.length) : padding;
}

/**
 * Return the lowest and the highest value that is not padding.
 * @param {Uint16Array} values
 * @param {number | null} padding
 * @returns {[number, number]}
 */
function range(values, padding) {
  let [low, high] = [65535, 0];
  for (let index = 0; index < values.length; index++) { // an iterator takes ten times as long
    const value = values[index];
    if (value === padding) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/**
 * Return the first and the last visible pixel along one axis, and one more on either side for the interpolation.
 * @param {number} offset
 * @param {number} scale
 * @param {number} stage
 * @param {number} length
 */
function visible(offset, scale, stage, length) {
  return [
    Math.max(0, Math.floor(-offset / scale) - 1),
    Math.min(length, Math.ceil((stage - offset) / scale) + 1),
  ];
}
