// The picture on the screen as a PNG: the radiograph with what is drawn over it and, below it, whose it is and what the map
// shows. The text is not drawn over the radiograph, which keeps its side markers.

import { context2d } from "./canvas.js";

/** @import { Pane } from "./pane.js" */

const INK = "#e8ebee";

/**
 * @param {Pane[]} panes
 * @param {string[]} lines  text below the picture
 * @returns {Promise<Blob>}
 */
export async function snapshot(panes, lines) {
  const { size, ratio } = panes[0];
  const step = 20 * ratio;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [size.width * panes.length, size.height + step * (lines.length + 0.5)];
  const context = context2d(canvas);
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (const [index, pane] of panes.entries()) {
    const left = index * size.width;
    for (const layer of [pane.radiograph, pane.heat]) {
      if (layer.hidden) continue;
      context.globalAlpha = Number(layer.style.opacity || 1);
      context.drawImage(layer, left + parseFloat(layer.style.left) * ratio, parseFloat(layer.style.top) * ratio);
    }
    context.globalAlpha = 1;
    context.drawImage(await drawing(pane), left, 0);
    burnIn(context, pane, left);
  }
  context.fillStyle = INK;
  context.font = `${14 * ratio}px sans-serif`;
  lines.forEach((line, index) => context.fillText(line, 8 * ratio, size.height + (index + 0.9) * step, canvas.width - 16 * ratio));
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("this browser cannot make a PNG"))));
  });
}

/**
 * Write into the picture what must not be lost with the page: that it is a prior, whose and from when, and how it is turned.
 * @param {CanvasRenderingContext2D} context
 * @param {Pane} pane
 * @param {number} left
 */
function burnIn(context, { element, size, ratio }, left) {
  const [caption, turn] = [".caption span", ".turn"].map((part) => [...element.querySelectorAll(part)].map((one) => one.textContent ?? ""));
  context.font = `${12 * ratio}px sans-serif`;
  context.strokeStyle = "#000";
  context.lineWidth = 3 * ratio;
  const places = [...caption.map((text, index) => [text, 20 + 16 * index]), ...turn.map((text) => [text, size.height / ratio - 12])];
  for (const [text, y] of /** @type {[string, number][]} */ (places)) {
    context.fillStyle = INK;
    context.strokeText(text, left + 10 * ratio, y * ratio);
    context.fillText(text, left + 10 * ratio, y * ratio);
  }
}

/**
 * Return the lines of a pane as an image.
 * @param {Pane} pane
 */
async function drawing({ lines, size }) {
  const copy = /** @type {SVGElement} */ (lines.cloneNode(true));
  for (const [name, value] of Object.entries(size)) copy.setAttribute(name, String(value));
  for (const text of copy.querySelectorAll("text")) text.setAttribute("fill", "#ffd84d"); // the style sheet is not part of it
  const source = new XMLSerializer().serializeToString(copy);
  const address = URL.createObjectURL(new Blob([source], { type: "image/svg+xml" }));
  const image = new Image();
  image.src = address;
  await image.decode();
  URL.revokeObjectURL(address);
  return image;
}
