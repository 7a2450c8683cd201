// One pane of the viewer in layers: the radiograph, the attention map over it, and lines over both.

import { element } from "./element.js";
import { draw as drawHeatMap } from "./heat_map.js";
import { measurementLines } from "./measurement_lines.js";
import { marks } from "./orientation.js";
import { svg } from "./svg.js";
import { covered, panned, toStage } from "./view.js";

/**
 * @import { Box } from "./api.js"
 * @import { Heat } from "./display.js"
 * @import { Drawing } from "./measurement_lines.js"
 * @import { Raster } from "./raster.js"
 * @import { Size, View } from "./view.js"
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
    const layers = [this.radiograph, this.heat, this.lines, ...this.edges];
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
   * @param {Raster} raster
   * @param {View} view
   * @param {Uint32Array} greys
   * @param {boolean} moving
   */
  drawGrey(raster, view, greys, moving) {
    const shifted = this.#place(this.radiograph, raster, view);
    raster.draw(this.radiograph, shifted, greys, moving);
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
    drawHeatMap(this.heat, heat, { image: raster, view: shifted });
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

  /** @param {[string, string] | null} orientation */
  mark(orientation) {
    const letters = marks(orientation);
    this.edges.forEach((edge, index) => {
      edge.textContent = letters[EDGES[index]];
    });
  }
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
  const place = { x: from.x, y: from.y, width: to.x - from.x, height: to.y - from.y, fill: "none" };
  return [
    svg("rect", { ...place, stroke: "#000", "stroke-width": 4 * ratio, "stroke-opacity": 0.7 }),
    svg("rect", { ...place, stroke: "#fff", "stroke-width": 1.5 * ratio, class: "box" }),
  ];
}
