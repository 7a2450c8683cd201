// Windows, PS3.3 C.11.2.1: from values after the Modality LUT to grey. Pure.

/** One value to [0, 1]; `window` is {center, width, function}. */
export function shade(value, window) {
  const { center, width } = window;
  if (window.function === "SIGMOID") return 1 / (1 + Math.exp((-4 * (value - center)) / width)); // C.11.2.1.3.1
  if (window.function === "LINEAR_EXACT") return clamp((value - center) / width + 0.5); // C.11.2.1.3.2
  if (width <= 1) return value > center - 0.5 ? 1 : 0; // C.11.2.1.2.1: a threshold
  return clamp((value - (center - 0.5)) / (width - 1) + 0.5); // C.11.2.1.2.1
}

/**
 * Colour of every value that a raster can hold, as little-endian RGBA.
 * @param header {slope, intercept, padding}: padding (or null) is black in every window, after the inversion
 * @param range [low, high] of the values that occur: no other is computed
 */
export function greys(header, window, inverted, range) {
  const table = new Uint32Array(65536);
  for (let stored = range[0]; stored <= range[1]; stored++) {
    const share = shade(stored * header.slope + header.intercept, window);
    const grey = Math.round(255 * (inverted ? 1 - share : share));
    table[stored] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  if (header.padding !== null) table[header.padding] = 0xff000000;
  return table;
}

/** Right widens, down raises the centre; `step` is what one pixel of the way is worth. */
export function dragged(window, dx, dy, step) {
  const narrowest = window.function === "LINEAR" ? 1 : step / 16;
  return { ...window, width: Math.max(narrowest, window.width + dx * step), center: window.center + dy * step };
}

/** Everything that occurs in the image, whatever the file's windows say. */
export function fullRange(scale, range) {
  const ends = range.map((stored) => stored * scale.slope + scale.intercept);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  return { name: "full range", center: (low + high) / 2, width: Math.max(high - low, 1), function: "LINEAR_EXACT" };
}

function clamp(share) {
  return share < 0 ? 0 : share > 1 ? 1 : share;
}
