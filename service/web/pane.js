// One picture of the radiograph in layers: grey values, the attention map over them, and lines over both.

import { element } from "./element.js";
import { draw as drawHeatMap } from "./heat_map.js";
import { marks } from "./orientation.js";
import { length, words } from "./ruler.js";
import { covered, panned, toStage } from "./view.js";

const SVG = "http://www.w3.org/2000/svg";

export class Pane {
  constructor(name) {
    this.radiograph = element("canvas", { class: "radiograph" });
    this.heat = element("canvas", { class: "heat" });
    this.lines = svg("svg", { class: "lines", "aria-hidden": "true" });
    this.edges = ["left", "right", "top", "bottom"].map((edge) => element("span", { class: `edge ${edge}` }));
    const layers = [this.radiograph, this.heat, this.lines, ...this.edges];
    this.element = element("div", { class: "pane", "data-pane": name }, ...layers);
  }

  resize(size, ratio) {
    this.lines.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    Object.assign(this, { size, ratio });
  }

  drawGrey(raster, view, greys, moving) {
    const shifted = this.#place(this.radiograph, raster, view);
    raster.draw(this.radiograph, shifted, greys, moving);
  }

  /** @param shown {map, content, table, opacity}, or null for none */
  drawHeat(shown, raster, view) {
    this.heat.hidden = !shown;
    if (!shown) return;
    this.heat.style.opacity = Math.round(255 * shown.opacity) / 255; // as the service's own pictures have it
    const shifted = this.#place(this.heat, raster, view);
    drawHeatMap(this.heat, shown.map, shown.content, shown.table, { image: raster, view: shifted });
  }

  /** Put a canvas where the image is and no further: each pixel of a layer costs, with every frame. */
  #place(canvas, image, view) {
    const [x0, y0, x1, y1] = covered(view, image, this.size);
    const [width, height] = [Math.max(1, x1 - x0), Math.max(1, y1 - y0)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const place = { left: x0, top: y0, width, height };
    for (const [edge, length] of Object.entries(place)) canvas.style[edge] = `${length / this.ratio}px`;
    return panned(view, -x0, -y0);
  }

  /** @param box [x0, y0, x1, y1] or null; `rulers` lists [from, to] on the image */
  drawLines(box, rulers, spacing, view) {
    const parts = box ? boxLines(box, view, this.ratio) : [];
    for (const [from, to] of rulers) parts.push(...rulerLines(from, to, spacing, view, this.ratio));
    this.lines.replaceChildren(...parts);
  }

  mark(orientation) {
    const names = marks(orientation);
    for (const edge of this.edges) edge.textContent = names[edge.className.split(" ")[1]];
  }
}

/** White between two dark lines, so that it shows on bone and on air; inside the edges, which are exclusive. */
function boxLines([x0, y0, x1, y1], view, ratio) {
  const [from, to] = [toStage(view, { x: x0, y: y0 }), toStage(view, { x: x1, y: y1 })];
  const place = { x: from.x, y: from.y, width: to.x - from.x, height: to.y - from.y, fill: "none" };
  return [
    svg("rect", { ...place, stroke: "#000", "stroke-width": 4 * ratio, "stroke-opacity": 0.7 }),
    svg("rect", { ...place, stroke: "#fff", "stroke-width": 1.5 * ratio, class: "box" }),
  ];
}

function rulerLines(from, to, spacing, view, ratio) {
  const [start, end] = [toStage(view, from), toStage(view, to)];
  const line = { x1: start.x, y1: start.y, x2: end.x, y2: end.y };
  const text = svg("text", { x: end.x + 8 * ratio, y: end.y - 8 * ratio, "font-size": 14 * ratio, class: "length" });
  text.textContent = words(length(from, to, spacing));
  return [
    svg("line", { ...line, stroke: "#000", "stroke-width": 4 * ratio, "stroke-opacity": 0.7 }),
    svg("line", { ...line, stroke: "#ffd84d", "stroke-width": 1.5 * ratio }),
    text,
  ];
}

function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}
