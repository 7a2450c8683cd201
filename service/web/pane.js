// One pane of the viewer in layers: the radiograph, the attention map over it, and lines over both.

import { element } from "./element.js";
import { draw as drawHeatMap } from "./heat_map.js";
import { measurementLines } from "./measurement_lines.js";
import { marks } from "./orientation.js";
import { svg } from "./svg.js";
import { drawTurned, turnedLetters, words as turnWords } from "./turn.js";
import { covered, panned, toStage } from "./view.js";

/**
 * @import { Box } from "./api.js"
 * @import { Heat, Picture } from "./display.js"
 * @import { Drawing } from "./measurement_lines.js"
 * @import { Raster } from "./raster.js"
 * @import { Turn } from "./turn.js"
 * @import { Size, View } from "./view.js"
 *
 * @typedef {"grey" | "heat" | "lines"} Layer
 */

/** @type {("left" | "right" | "top" | "bottom")[]} */
const EDGES = ["left", "right", "top", "bottom"];

export class Pane {
  /** @type {Size} */
  size = { width: 0, height: 0 };
  ratio = 1; // device pixels per CSS pixel

  /** @param {string} name */
  constructor(name) {
    this.name = name;
    this.radiograph = canvas("radiograph");
    this.heat = canvas("heat");
    this.lines = svg("svg", { class: "lines", "aria-hidden": "true" });
    this.edges = EDGES.map((edge) => element("span", { class: `edge ${edge}` }));
    this.turn = element("span", { class: "turn" });
    const layers = [this.radiograph, this.heat, this.lines, ...this.edges, this.turn];
    this.element = element("div", { class: "pane", "data-pane": name }, ...layers);
  }

  /**
   * @param {Size} size  device pixels
   * @param {number} ratio
   */
  resize(size, ratio) {
    this.lines.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    [this.size, this.ratio] = [size, ratio];
  }

  /**
   * Return the size of the pane, edges on whole device pixels, as the browser snaps them.
   * @param {number} ratio
   */
  measured(ratio) {
    const { left, right, top, bottom } = this.element.getBoundingClientRect();
    const [x0, x1, y0, y1] = [left, right, top, bottom].map((position) => Math.round(position * ratio));
    return { width: x1 - x0, height: y1 - y0 };
  }

  /**
   * Return the position of the pointer in device pixels of the pane.
   * @param {MouseEvent} event
   */
  point(event) {
    const { left, top } = this.element.getBoundingClientRect();
    return { x: (event.clientX - left) * devicePixelRatio, y: (event.clientY - top) * devicePixelRatio };
  }

  /**
   * @param {Set<Layer>} layers
   * @param {Picture} picture
   * @param {{ view: View, measurements: Drawing[], moving: boolean }} how
   */
  draw(layers, { raster, greys, heat, box, orientation }, { view, measurements, moving }) {
    if (layers.has("grey")) this.drawGrey(raster, view, greys, moving);
    if (layers.has("heat")) this.drawHeat(heat, raster, view);
    if (!layers.has("lines")) return;
    this.drawLines(box, measurements, view);
    this.mark(orientation, view.turn);
  }

  /**
   * @param {Raster} raster
   * @param {View} view
   * @param {Uint32Array} greys
   * @param {boolean} moving
   */
  drawGrey(raster, view, greys, moving) {
    const shifted = this.#place(this.radiograph, raster, view);
    drawTurned(this.radiograph, shifted, (layer, upright) => raster.draw(layer, upright, greys, moving));
  }

  /**
   * @param {Heat | null} heat
   * @param {Raster} raster
   * @param {View} view
   */
  drawHeat(heat, raster, view) {
    this.heat.hidden = !heat;
    if (!heat) return;
    this.heat.style.opacity = String(Math.round(255 * heat.opacity) / 255); // as service/objects/overlay.py rounds it
    const shifted = this.#place(this.heat, raster, view);
    drawTurned(this.heat, shifted, (layer, upright) => drawHeatMap(layer, heat, { image: raster, view: upright }));
  }

  /**
   * Put a layer's canvas where the image is, no larger than it: every pixel of a layer takes time in every frame.
   * @param {HTMLCanvasElement} layer
   * @param {Raster} image
   * @param {View} view
   */
  #place(layer, image, view) {
    const [x0, y0, x1, y1] = covered(view, image, this.size);
    const [width, height] = [Math.max(1, x1 - x0), Math.max(1, y1 - y0)];
    if (layer.width !== width || layer.height !== height) [layer.width, layer.height] = [width, height];
    for (const [property, pixels] of Object.entries({ left: x0, top: y0, width, height })) {
      layer.style.setProperty(property, `${pixels / this.ratio}px`);
    }
    return panned(view, -x0, -y0);
  }

  /**
   * @param {Box | null} box  on the image
   * @param {Drawing[]} measurements
   * @param {View} view
   */
  drawLines(box, measurements, view) {
    const parts = box ? boxLines(box, view, this.ratio) : [];
    for (const one of measurements) parts.push(...measurementLines(one, (point) => toStage(view, point), this.ratio));
    this.lines.replaceChildren(...parts);
  }

  /**
   * @param {[string, string] | null} orientation
   * @param {Turn} [turn]
   */
  mark(orientation, turn) {
    const letters = turnedLetters(marks(orientation), turn);
    this.turn.textContent = turnWords(turn);
    this.edges.forEach((edge, index) => {
      edge.textContent = letters[EDGES[index]];
    });
  }
}

/**
 * Return the pane that is under the pointer or nearest to it.
 * @param {Pane[]} panes  from left to right
 * @param {MouseEvent} event
 */
export function paneAt(panes, { clientX }) {
  return panes.findLast((pane) => clientX >= pane.element.getBoundingClientRect().left) ?? panes[0];
}

/** @param {string} name */
function canvas(name) {
  const created = document.createElement("canvas");
  created.className = name;
  return created;
}

/**
 * A white line on a broader dark one, visible on bone and on air. It lies inside the box, whose end is exclusive.
 * @param {Box} box
 * @param {View} view
 * @param {number} ratio
 */
function boxLines([x0, y0, x1, y1], view, ratio) {
  const [from, to] = [toStage(view, { x: x0, y: y0 }), toStage(view, { x: x1, y: y1 })];
  const [width, height] = [Math.abs(to.x - from.x), Math.abs(to.y - from.y)];
  const place = { x: Math.min(from.x, to.x), y: Math.min(from.y, to.y), width, height, fill: "none" };
  return [
    svg("rect", { ...place, stroke: "#000", "stroke-width": 4 * ratio, "stroke-opacity": 0.7 }),
    svg("rect", { ...place, stroke: "#fff", "stroke-width": 1.5 * ratio, class: "box" }),
  ];
}
