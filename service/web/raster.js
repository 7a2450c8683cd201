// A radiograph's stored values, and what of them is drawn: a table of greys over the visible part, at about the
// resolution of the screen. Halves of halves are kept: a small picture is an average and not a choice of pixels.

export class Raster {
  /** @param values Uint16Array, rows * columns; `header` {rows, columns, aspect, padding}: see `X-Pixels` */
  constructor(values, header) {
    const { columns: width, rows: height, aspect, padding } = header;
    Object.assign(this, { width, height, aspect, padding });
    this.range = range(values, padding);
    this.levels = [{ values, width, height }];
    this.scratch = document.createElement("canvas");
    this.painted = []; // what the scratch canvas holds: two panes show the same
  }

  at(x, y) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    const inside = column >= 0 && row >= 0 && column < this.width && row < this.height;
    return inside ? this.levels[0].values[row * this.width + column] : null;
  }

  /**
   * Draw onto a canvas.
   * @param greys Uint32Array(65536); `moving` draws no more pixels than the screen has
   */
  draw(canvas, view, greys, moving) {
    const context = canvas.getContext("2d", { alpha: false });
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const depth = this.depth(view, moving);
    const level = this.level(depth);
    const [scaleX, scaleY] = [view.scaleX * 2 ** depth, view.scaleY * 2 ** depth];
    const [x0, x1] = visible(view.x, scaleX, canvas.width, level.width);
    const [y0, y1] = visible(view.y, scaleY, canvas.height, level.height);
    if (x1 <= x0 || y1 <= y0) return;
    this.paint(level, greys, [x0, y0, x1, y1]);
    context.save();
    context.beginPath(); // the last of an odd number of pixels is wider in its half than in the image
    context.rect(view.x, view.y, this.width * view.scaleX, this.height * view.scaleY);
    context.clip();
    context.imageSmoothingEnabled = scaleX !== 1 || scaleY !== 1;
    context.imageSmoothingQuality = moving ? "low" : "high";
    const [width, height] = [x1 - x0, y1 - y0];
    const to = [view.x + x0 * scaleX, view.y + y0 * scaleY, width * scaleX, height * scaleY];
    context.drawImage(this.scratch, 0, 0, width, height, ...to);
    context.restore();
  }

  depth(view, moving) {
    const halvings = Math.log2(1 / Math.max(view.scaleX, view.scaleY));
    return Math.max(0, moving ? Math.round(halvings) : Math.floor(halvings + 1e-6));
  }

  level(depth) {
    while (this.levels.length <= depth) this.levels.push(halved(this.levels.at(-1), this.padding));
    return this.levels[depth];
  }

  paint(level, greys, part) {
    const painted = [level, greys, ...part];
    if (painted.every((one, index) => one === this.painted[index])) return;
    this.painted = painted;
    const [x0, y0, x1, y1] = part;
    const [width, height] = [x1 - x0, y1 - y0];
    if (this.scratch.width !== width || this.scratch.height !== height) {
      [this.scratch.width, this.scratch.height] = [width, height];
      this.pixels = new ImageData(width, height);
    }
    const colours = new Uint32Array(this.pixels.data.buffer);
    const { values } = level;
    for (let row = 0; row < height; row++) {
      let from = (row + y0) * level.width + x0;
      let to = row * width;
      for (const end = to + width; to < end; to++, from++) colours[to] = greys[values[from]];
    }
    this.scratch.getContext("2d", { alpha: false }).putImageData(this.pixels, 0, 0);
  }
}

/** Average of 2 x 2, at an odd edge of what there is; padding is no value and takes no part. */
export function halved(level, padding = null) {
  const { values: from, width: wide } = level;
  const [width, height] = [Math.ceil(wide / 2), Math.ceil(level.height / 2)];
  const values = new Uint16Array(width * height);
  const whole = wide >> 1; // pairs without an odd last column; this loop sees every pixel of a radiograph
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

function average(a, b, c, d, padding) {
  const none = a !== padding && b !== padding && c !== padding && d !== padding;
  return none ? (a + b + c + d + 2) >> 2 : averageSeen([a, b, c, d].filter((value) => value !== padding), padding);
}

function averageSeen(seen, padding) {
  return seen.length ? Math.round(seen.reduce((sum, value) => sum + value) / seen.length) : padding;
}

function range(values, padding) {
  let [low, high] = [65535, 0];
  for (let at = 0; at < values.length; at++) { // an iterator takes ten times as long
    const value = values[at];
    if (value === padding) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** First and last pixel of a line that can be seen, and one more on either side to interpolate from. */
function visible(offset, scale, stage, length) {
  return [
    Math.max(0, Math.floor(-offset / scale) - 1),
    Math.min(length, Math.ceil((stage - offset) / scale) + 1),
  ];
}
