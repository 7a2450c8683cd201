// Windows, PS3.3 C.11.2.1: grey of a value after the Modality LUT. Pure functions.

/** @import { PixelHeader, Window } from "./api.js" */

const BLACK = 0xff000000;

/**
 * Map a value to [0, 1].
 * @param {number} value
 * @param {Window} window
 */
export function shade(value, window) {
  const { center, width } = window;
  if (window.function === "SIGMOID") return 1 / (1 + Math.exp((-4 * (value - center)) / width)); // C.11.2.1.3.1
  if (window.function === "LINEAR_EXACT") return clamp((value - center) / width + 0.5); // C.11.2.1.3.2
  if (width <= 1) return value > center - 0.5 ? 1 : 0; // C.11.2.1.2.1: a threshold
  return clamp((value - (center - 0.5)) / (width - 1) + 0.5); // C.11.2.1.2.1
}

/**
 * Return the colour of each of 65536 stored values as little-endian RGBA. Padding is black, inverted or not.
 * @param {Pick<PixelHeader, "slope" | "intercept" | "padding">} header
 * @param {Window} window
 * @param {boolean} inverted
 * @param {[number, number]} range  lowest and highest stored value of the image; the others are not computed
 */
export function greys(header, window, inverted, range) {
  const table = new Uint32Array(65536);
  for (let stored = range[0]; stored <= range[1]; stored++) {
    const share = shade(stored * header.slope + header.intercept, window);
    const grey = Math.round(255 * (inverted ? 1 - share : share));
    table[stored] = BLACK | (grey << 16) | (grey << 8) | grey;
  }
  if (header.padding !== null) table[header.padding] = BLACK;
  return table;
}

/**
 * Change a window by a drag: to the right widens it, downwards raises its centre.
 * @param {Window} window
 * @param {number} dx
 * @param {number} dy
 * @param {number} step  change for each pixel of the drag
 * @returns {Window}
 */
export function dragged(window, dx, dy, step) {
  const narrowest = window.function === "LINEAR" ? 1 : step / 16;
  return { ...window, width: Math.max(narrowest, window.width + dx * step), center: window.center + dy * step };
}

/**
 * Return the window that spans all values of the image.
 * @param {Pick<PixelHeader, "slope" | "intercept">} scale
 * @param {[number, number]} range  lowest and highest stored value
 * @returns {Window}
 */
export function fullRange(scale, range) {
  const ends = range.map((stored) => stored * scale.slope + scale.intercept);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  return { name: "full range", center: (low + high) / 2, width: Math.max(high - low, 1), function: "LINEAR_EXACT" };
}

/**
 * Return the window between the 1st and the 99th percentile of the middle of the image, where the lungs are: collimated
 * edges, markers and the air beside the patient do not count.
 * @param {Pick<PixelHeader, "slope" | "intercept" | "padding">} header
 * @param {{ values: Uint16Array, width: number, height: number }} image
 * @returns {Window | null} null if the middle has one value only
 */
export function automatic({ slope, intercept, padding }, { values, width, height }) {
  const counts = new Uint32Array(65536);
  const [left, right, top, bottom] = [width / 6, (5 * width) / 6, height / 8, (7 * height) / 8].map(Math.round);
  let total = 0;
  for (let row = top; row < bottom; row += 4) {
    for (let at = row * width + left; at < row * width + right; at += 4) {
      if (values[at] === padding) continue;
      counts[values[at]]++;
      total++;
    }
  }
  const ends = [0.01, 0.99].map((share) => percentile(counts, share * total) * slope + intercept);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  if (!total || low === high) return null;
  return { name: "automatic", center: (low + high) / 2, width: high - low, function: "LINEAR_EXACT" };
}

/**
 * @param {Uint32Array} counts  of each value
 * @param {number} rank
 */
function percentile(counts, rank) {
  let value = 0;
  for (let below = counts[0]; below < rank && value < counts.length - 1; below += counts[value]) value++;
  return value;
}

/** @param {number} share */
function clamp(share) {
  return Math.min(Math.max(share, 0), 1);
}
