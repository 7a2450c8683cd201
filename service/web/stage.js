// Where the radiograph is looked at: one pane or two with one view, and what the pointer and the arrow keys do.

import { byId } from "./element.js";
import { Pane } from "./pane.js";
import { actual, fit, panned, toImage, zoomed } from "./view.js";

const NOTCH = 1.0015; // zoom for each unit of a wheel's turn
const STEP = 1.25; // of a key
const REST_MS = 120; // after the last movement all that the screen can show is drawn
const SHORTEST = 3; // pixels of the screen; a shorter ruler is a click, and the next click ends it

export class Stage {
  tool = "window";
  rulers = [];
  #dirty = new Set();
  #frame = 0;
  #rest = 0;
  #moving = false;
  #mode = "fit";

  /**
   * @param picture () => what to draw, as `Display.picture` tells it, or null
   * @param dragged (dx, dy, begin) => changes the window from what it was; without `begin` it tells what it is
   * @param hovered (point) => on the image, or null
   */
  constructor(picture, dragged, hovered) {
    Object.assign(this, { picture, dragged, hovered });
    this.element = byId("stage");
    this.panes = [];
    this.arrange(["overlay"]);
    new ResizeObserver(() => this.#resize()).observe(byId("panes"));
    this.element.addEventListener("pointerdown", (event) => this.#down(event));
    this.element.addEventListener("pointermove", (event) => this.hovered(this.#imagePoint(event)));
    this.element.addEventListener("pointerleave", () => this.hovered(null));
    this.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.element.addEventListener("dblclick", () => (this.#mode === "fit" ? this.actual() : this.fit()));
  }

  get actions() {
    const pan = 40 * devicePixelRatio;
    return {
      ArrowLeft: () => this.pan(pan, 0), ArrowRight: () => this.pan(-pan, 0),
      ArrowUp: () => this.pan(0, pan), ArrowDown: () => this.pan(0, -pan),
      "+": () => this.zoom(STEP), "=": () => this.zoom(STEP), "-": () => this.zoom(1 / STEP),
      f: () => this.fit(), 1: () => this.actual(),
    };
  }

  arrange(names) {
    this.panes = names.map((name) => new Pane(name));
    byId("panes").replaceChildren(...this.panes.map((pane) => pane.element));
    this.#resize();
  }

  fit() {
    this.#mode = "fit";
    this.#look(fit);
  }

  actual() {
    this.#mode = "actual";
    this.#look(actual);
  }

  zoom(factor, at = { x: this.size.width / 2, y: this.size.height / 2 }) {
    if (!this.view) return;
    this.#mode = "free";
    this.view = zoomed(this.view, factor, at);
    this.redraw("all");
  }

  pan(dx, dy) {
    if (!this.view) return;
    this.#mode = "free";
    this.view = panned(this.view, dx, dy);
    this.redraw("all");
  }

  /** Draw again with the next frame: "grey" where only the window changed, "heat", "lines" or "all". */
  redraw(layer, moving = true) {
    for (const one of layer === "all" ? ["grey", "heat", "lines"] : [layer]) this.#dirty.add(one);
    this.element.dataset.drawn = "pending";
    this.#moving = moving;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
    clearTimeout(this.#rest);
    if (moving) this.#rest = setTimeout(() => this.redraw("grey", false), REST_MS);
  }

  #draw() {
    this.#frame = 0;
    const picture = this.picture();
    if (!picture || !this.view) return;
    for (const pane of this.panes) {
      const overlaid = pane.element.dataset.pane === "overlay";
      if (this.#dirty.has("grey")) pane.drawGrey(picture.raster, this.view, picture.greys, this.#moving);
      if (this.#dirty.has("heat")) pane.drawHeat(overlaid ? picture.heat : null, picture.raster, this.view);
      if (this.#dirty.has("lines")) {
        pane.drawLines(overlaid ? picture.box : null, this.rulers, picture.spacing, this.view);
        pane.mark(picture.orientation);
      }
    }
    this.#dirty.clear();
    this.element.dataset.drawn = this.#moving ? "moving" : "settled";
    this.drawn?.();
  }

  #look(how) {
    const picture = this.picture();
    if (!picture || !this.size) return;
    this.view = how(picture.raster, this.size);
    this.redraw("all", false);
  }

  #resize() {
    const place = this.panes[0].element.getBoundingClientRect();
    const ratio = devicePixelRatio;
    const edge = (length) => Math.round(length * ratio); // the browser puts edges on whole pixels, too
    const size = { width: edge(place.right) - edge(place.left), height: edge(place.bottom) - edge(place.top) };
    if (!size.width || !size.height) return;
    const before = this.size ?? size;
    this.size = size;
    for (const pane of this.panes) pane.resize(size, ratio);
    if (this.#mode === "fit") return this.fit();
    if (this.#mode === "actual") return this.actual();
    this.pan((size.width - before.width) / 2, (size.height - before.height) / 2);
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    this.zoom(NOTCH ** (-event.deltaY * lines), this.#point(event));
  }

  #down(event) {
    if (!this.view || event.target.closest("a, button")) return;
    const tool = event.button === 1 || event.shiftKey ? "pan" : event.button === 0 ? this.tool : "";
    const move = tool && this.#mover(tool, event);
    if (!move) return;
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    const done = new AbortController();
    const { signal } = done;
    this.element.addEventListener("pointermove", move, { signal });
    for (const end of ["pointerup", "pointercancel"]) {
      this.element.addEventListener(end, () => (done.abort(), this.#finish(tool)), { signal });
    }
  }

  /** What a drag does, from where it began; all movement counts from there, so that none is lost between frames. */
  #mover(tool, start) {
    if (tool === "pan") {
      let last = this.#point(start);
      return (event) => {
        const here = this.#point(event);
        this.pan(here.x - last.x, here.y - last.y);
        last = here;
      };
    }
    if (tool === "ruler") {
      const here = this.#imagePoint(start);
      const from = this.#begun() ?? here;
      this.rulers = [[from, here]];
      return (event) => {
        this.rulers = [[from, this.#imagePoint(event)]];
        this.redraw("lines");
      };
    }
    const begin = this.dragged(0, 0, null);
    return (event) => this.dragged(event.clientX - start.clientX, event.clientY - start.clientY, begin);
  }

  #finish(tool) {
    if (tool === "ruler") this.redraw("lines");
  }

  /** Where a click began a ruler that another click shall end, for those who do not drag (WCAG 2.5.7). */
  #begun() {
    const [from, to] = this.rulers[0] ?? [];
    const isPoint = from && Math.hypot(to.x - from.x, to.y - from.y) * this.view.scaleX < SHORTEST;
    return isPoint ? from : null;
  }

  #imagePoint(event) {
    return this.view ? toImage(this.view, this.#point(event)) : null;
  }

  /** In device pixels of the pane that the pointer is over, or nearest to. */
  #point(event) {
    const places = this.panes.map((pane) => pane.element.getBoundingClientRect());
    const place = places.findLast((one, index) => index === 0 || event.clientX >= one.left);
    return { x: (event.clientX - place.left) * devicePixelRatio, y: (event.clientY - place.top) * devicePixelRatio };
  }
}
