// Colours of the attention map, the same as in the service's own pictures (service/objects/overlay.py). Both rise in
// lightness and can be told apart by the colour-blind; turbo cannot and is not offered.

const ANCHORS = {
  viridis: "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
  inferno: "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
};

export const NAMES = Object.keys(ANCHORS);

/** Colour of each of 256 levels as little-endian RGBA, opaque; linear between evenly spaced anchors. */
export function colours(name) {
  const anchors = ANCHORS[name].split(" ").map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (anchors.length - 1);
    const below = Math.min(Math.floor(place), anchors.length - 2);
    const mixed = [0, 1, 2].map((channel) => {
      const [from, to] = [anchors[below][channel], anchors[below + 1][channel]];
      return Math.round(from + (to - from) * (place - below));
    });
    return 0xff000000 | (mixed[2] << 16) | (mixed[1] << 8) | mixed[0];
  });
}

/** Every colour from low to high, along a canvas: the legend. */
export function drawBar(canvas, name) {
  const table = colours(name);
  const context = canvas.getContext("2d");
  const image = new ImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let place = 0; place < pixels.length; place++) {
    pixels[place] = table[Math.floor(((place % canvas.width) / canvas.width) * 256)];
  }
  context.putImageData(image, 0, 0);
}
