// Colour maps of the attention map, the same as in service/objects/colormap.py. Both rise in lightness and are readable
// by people with colour vision deficiency; turbo is not and is therefore not offered.

import { context2d } from "./canvas.js";

/** @type {Record<string, string>} */
const ANCHORS = {
  viridis: "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
  inferno: "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
};

export const NAMES = Object.keys(ANCHORS);
export const DEFAULT = "viridis";

/**
 * Return the colours of 256 levels, interpolated linearly between evenly spaced anchors.
 * @param {string} name
 * @returns {Uint32Array<ArrayBuffer>} opaque little-endian RGBA
 */
export function colours(name) {
  const anchors = ANCHORS[name].split(" ").map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, level) => {
    const position = (level / 255) * (anchors.length - 1);
    const below = Math.min(Math.floor(position), anchors.length - 2);
    const mixed = [0, 1, 2].map((channel) => {
      const [from, to] = [anchors[below][channel], anchors[below + 1][channel]];
      return Math.round(from + (to - from) * (position - below));
    });
    return 0xff000000 | (mixed[2] << 16) | (mixed[1] << 8) | mixed[0];
  });
}

/**
 * Return the colours of 256 levels, each as opaque as its level.
 * @param {string} name
 */
export function tints(name) {
  return colours(name).map((colour, level) => ((colour & 0xffffff) | (level << 24)) >>> 0);
}

/**
 * Draw every colour, from weak at the left to strong at the right, as opaque as it is over a radiograph.
 * @param {HTMLCanvasElement} canvas
 * @param {{ colormap: string, opacity: number }} appearance
 */
export function drawBar(canvas, { colormap, opacity }) {
  const table = tints(colormap);
  const image = new ImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let index = 0; index < pixels.length; index++) {
    pixels[index] = table[Math.floor(((index % canvas.width) / canvas.width) * 256)];
  }
  context2d(canvas).putImageData(image, 0, 0);
  canvas.style.opacity = String(opacity);
}
