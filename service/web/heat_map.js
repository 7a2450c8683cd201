// The attention map over a radiograph: bilinear with half-pixel centres, as the region is found on it and as the
// service draws it (service/objects/overlay.py). It says where the network looked, and is no outline of a lesion.

export const BACKGROUND = 1 / 3; // of the map's range, not drawn; the colours span the rest

/** Rows of numbers as one array. */
export function grid(rows) {
  return { rows: rows.length, columns: rows[0].length, values: Float32Array.from(rows.flat()) };
}

/** A class map, which is not calibrated, to [0, 1] within itself; a flat one to zero. */
export function relative(map) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of map.values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const span = high - low;
  return { ...map, values: map.values.map((value) => (span > 0 ? (value - low) / span : 0)) };
}

/**
 * Places on one axis of the map of `count` pixels of the screen.
 * @param view {scale, offset} of that axis; `size` of the image; `content` [from, to] of the map the image covers
 */
export function axis(count, view, size, content, cells) {
  const step = ((content[1] - content[0]) * cells) / (size * view.scale);
  const start = content[0] * cells + (0.5 - view.offset) * step - 0.5;
  return { count, start, step, first: view.offset, last: view.offset + size * view.scale };
}

/** Values at every crossing of two axes, Float32Array of down.count * across.count. */
export function sampled(map, across, down) {
  const values = new Float32Array(across.count * down.count);
  eachRow(map, across, down, (row, line) => values.set(line, row * across.count));
  return values;
}

/** Draw onto a canvas of its own, whose opacity is the map's: opaque or clear, nothing between. */
export function draw(canvas, map, content, table, { image, view }) {
  const { width, height } = canvas;
  const across = axis(
    width, { scale: view.scaleX, offset: view.x }, image.width, [content[0], content[2]], map.columns,
  );
  const down = axis(height, { scale: view.scaleY, offset: view.y }, image.height, [content[1], content[3]], map.rows);
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
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** Columns between the cells are the same in every row; rows of the map are mixed once a line, not once a pixel. */
function eachRow(map, across, down, use) {
  const places = cells(across, map.columns);
  const between = cells(down, map.rows);
  const mixed = new Float32Array(map.columns);
  const line = new Float32Array(across.count);
  for (let row = 0; row < down.count; row++) {
    const [above, below, share] = [between.low[row], between.high[row], between.share[row]];
    for (let column = 0; column < map.columns; column++) {
      const upper = map.values[above * map.columns + column];
      mixed[column] = upper + (map.values[below * map.columns + column] - upper) * share;
    }
    for (let column = 0; column < across.count; column++) {
      const left = mixed[places.low[column]];
      line[column] = left + (mixed[places.high[column]] - left) * places.share[column];
    }
    use(row, line);
  }
}

function cells(axis, length) {
  const [low, high] = [new Int32Array(axis.count), new Int32Array(axis.count)];
  const share = new Float32Array(axis.count);
  for (let index = 0; index < axis.count; index++) {
    const place = Math.min(length - 1, Math.max(0, axis.start + index * axis.step));
    low[index] = Math.floor(place);
    high[index] = Math.min(low[index] + 1, length - 1);
    share[index] = place - low[index];
  }
  return { low, high, share };
}
