// Where the image lies on the stage: stage = image * scale + offset, in device pixels. Pure functions on frozen values.

const LARGEST = 64; // device pixels a pixel of the image
const SMALLEST = 1 / 64;

/** @param image {width, height, aspect}: pixels, and height over width of one; @param stage {width, height} */
export function fit(image, stage) {
  const scale = Math.min(stage.width / image.width, stage.height / (image.height * image.aspect));
  return centred(image, stage, scale);
}

/** One column of the image on one column of the screen, on whole pixels: what is shown is what was computed. */
export function actual(image, stage) {
  return centred(image, stage, 1);
}

/** Keep what is under a point of the stage there. */
export function zoomed(view, factor, at) {
  const scale = Math.min(LARGEST, Math.max(SMALLEST, view.scaleX * factor));
  const by = scale / view.scaleX;
  return Object.freeze({
    scaleX: scale,
    scaleY: view.scaleY * by,
    x: at.x - (at.x - view.x) * by,
    y: at.y - (at.y - view.y) * by,
  });
}

export function panned(view, dx, dy) {
  return Object.freeze({ ...view, x: view.x + dx, y: view.y + dy });
}

export function toImage(view, point) {
  return { x: (point.x - view.x) / view.scaleX, y: (point.y - view.y) / view.scaleY };
}

export function toStage(view, point) {
  return { x: point.x * view.scaleX + view.x, y: point.y * view.scaleY + view.y };
}

/** Whole pixels of the stage that the image covers, [x0, y0, x1, y1], exclusive end. */
export function covered(view, image, stage) {
  const end = toStage(view, { x: image.width, y: image.height });
  const [x0, y0] = [Math.max(0, Math.floor(view.x)), Math.max(0, Math.floor(view.y))];
  const [x1, y1] = [Math.min(stage.width, Math.ceil(end.x)), Math.min(stage.height, Math.ceil(end.y))];
  return [x0, y0, Math.max(x0, x1), Math.max(y0, y1)];
}

/** A view that shows one box of the image, as large as the stage has room for. */
export function fitBox(image, box, stage) {
  const [x0, y0, x1, y1] = box;
  const part = fit({ width: x1 - x0, height: y1 - y0, aspect: image.aspect }, stage);
  return Object.freeze({ ...part, x: part.x - x0 * part.scaleX, y: part.y - y0 * part.scaleY });
}

function centred(image, stage, scale) {
  const scaleY = scale * image.aspect;
  return Object.freeze({
    scaleX: scale,
    scaleY,
    x: Math.round((stage.width - image.width * scale) / 2),
    y: Math.round((stage.height - image.height * scaleY) / 2),
  });
}
