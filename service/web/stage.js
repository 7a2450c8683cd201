// The stage: one or two panes with a common view, moved by the pointer, the wheel and the arrow keys.

import { byId, targetOf } from "./element.js";
import { listenToGestures } from "./gestures.js";
import { Pane } from "./pane.js";
import { actual, fit, panned, toImage, zoomed } from "./view.js";

/**
 * @import { Window } from "./api.js"
 * @import { Picture } from "./display.js"
 * @import { Actions } from "./keys.js"
 * @import { Drawing } from "./measurement_lines.js"
 * @import { Measuring } from "./measuring.js"
 * @import { Image, Point, Size, View } from "./view.js"
 *
 * @typedef {"window" | "pan" | "measure"} Tool
 * @typedef {"grey" | "heat" | "lines"} Layer
 *
 * @typedef {object} Listener
 * @property {() => Picture | null} picture  what to draw
 * @property {() => Drawing[]} measurements  what to draw over it
 * @property {() => Window | null} window  the window at the start of a drag
 * @property {(dx: number, dy: number, start: Window) => void} dragged
 * @property {(point: Point | null) => void} hovered  point of the image under the pointer
 * @property {(view: View) => void} drawn
 */

const KEY_FACTOR = 1.25; // zoom for each press of a key
const REST_MS = 120; // time after the last movement until the picture is drawn in full quality
const SLOP = 6; // screen pixels that a finger moves before it drags, as the second one of two may follow
/** @type {Layer[]} */
const LAYERS = ["grey", "heat", "lines"];

export class Stage {
  /** @type {Tool} */
  tool = "window";
  /** @type {View | null} */
  view = null;
  /** @type {Size | null} */
  size = null; // device pixels of each pane
  /** @type {Pane[]} */
  panes = [];
  /** @type {Set<Layer>} */
  #dirty = new Set();
  #frame = 0;
  #rest = 0;
  #moving = false;
  #mode = "fit";
  #drag = new AbortController();

  /** @param {Listener} listener @param {Measuring} measuring */
  constructor(listener, measuring) {
    this.listener = listener;
    this.measuring = measuring;
    this.element = byId("stage");
    this.arrange(["overlay"]);
    new ResizeObserver(() => this.#resize()).observe(byId("panes"));
    listenToGestures(this.element, {
      at: (event) => this.#point(event),
      zoom: (factor, at) => this.zoom(factor, at),
      pan: (dx, dy) => this.pan(dx, dy),
      pinched: () => {
        this.#drag.abort();
        measuring.cancel();
      },
    });
    this.element.addEventListener("pointerdown", (event) => this.#down(event));
    this.element.addEventListener("pointermove", (event) => listener.hovered(this.#imagePoint(event)));
    this.element.addEventListener("pointerleave", () => listener.hovered(null));
    this.element.addEventListener("dblclick", () => this.tool !== "measure" && (this.#mode === "fit" ? this.actual() : this.fit()));
  }

  /** @returns {Actions} */
  get actions() {
    const pan = 40 * devicePixelRatio;
    return {
      ArrowLeft: () => this.pan(pan, 0), ArrowRight: () => this.pan(-pan, 0),
      ArrowUp: () => this.pan(0, pan), ArrowDown: () => this.pan(0, -pan),
      "+": () => this.zoom(KEY_FACTOR), "=": () => this.zoom(KEY_FACTOR), "-": () => this.zoom(1 / KEY_FACTOR),
      f: () => this.fit(), 1: () => this.actual(),
    };
  }

  /** @param {("original" | "overlay")[]} names */
  arrange(names) {
    this.panes = names.map((name) => new Pane(name));
    byId("panes").replaceChildren(...this.panes.map((pane) => pane.element));
    this.#resize();
  }

  fit() {
    this.#mode = "fit";
    this.#show(fit);
  }

  actual() {
    this.#mode = "actual";
    this.#show(actual);
  }

  /**
   * @param {number} factor
   * @param {Point} [at]  the middle by default
   */
  zoom(factor, at) {
    if (!this.view || !this.size) return;
    this.#mode = "free";
    this.view = zoomed(this.view, factor, at ?? { x: this.size.width / 2, y: this.size.height / 2 });
    this.redraw();
  }

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    if (!this.view) return;
    this.#mode = "free";
    this.view = panned(this.view, dx, dy);
    this.redraw();
  }

  /**
   * Draw layers again in the next frame.
   * @param {Layer[]} layers
   * @param {boolean} moving  draw quickly now and in full quality once the movement has ended
   */
  redraw(layers = LAYERS, moving = true) {
    for (const layer of layers) this.#dirty.add(layer);
    this.element.dataset.drawn = "pending";
    this.#moving = moving;
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
    clearTimeout(this.#rest);
    if (moving) this.#rest = setTimeout(() => this.redraw(["grey"], false), REST_MS);
  }

  #draw() {
    this.#frame = 0;
    const picture = this.listener.picture();
    if (!picture || !this.view) return;
    for (const pane of this.panes) {
      const isOverlay = pane.name === "overlay";
      if (this.#dirty.has("grey")) pane.drawGrey(picture.raster, this.view, picture.greys, this.#moving);
      if (this.#dirty.has("heat")) pane.drawHeat(isOverlay ? picture.heat : null, picture.raster, this.view);
      if (this.#dirty.has("lines")) {
        pane.drawLines(isOverlay ? picture.box : null, this.listener.measurements(), this.view);
        pane.mark(picture.orientation);
      }
    }
    this.#dirty.clear();
    this.element.dataset.drawn = this.#moving ? "moving" : "settled";
    this.listener.drawn(this.view);
  }

  /** @param {(image: Image, stage: Size) => View} placement */
  #show(placement) {
    const picture = this.listener.picture();
    if (!picture || !this.size) return;
    this.view = placement(picture.raster, this.size);
    this.redraw(LAYERS, false);
  }

  #resize() {
    const rect = this.panes[0].element.getBoundingClientRect();
    const ratio = devicePixelRatio;
    const edge = (/** @type {number} */ position) => Math.round(position * ratio); // as the browser snaps edges to pixels
    const size = { width: edge(rect.right) - edge(rect.left), height: edge(rect.bottom) - edge(rect.top) };
    if (!size.width || !size.height) return;
    const before = this.size ?? size;
    this.size = size;
    for (const pane of this.panes) pane.resize(size, ratio);
    if (this.#mode === "fit") this.fit();
    else if (this.#mode === "actual") this.actual();
    else this.pan((size.width - before.width) / 2, (size.height - before.height) / 2);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (!this.view || targetOf(event).closest("a, button")) return;
    const tool = this.#toolOf(event);
    const move = tool && this.#startDrag(tool, event);
    if (!move) return;
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    const drag = new AbortController();
    this.#drag = drag;
    const { signal } = drag;
    let isDragged = event.pointerType !== "touch";
    this.element.addEventListener("pointermove", (moved) => {
      isDragged ||= Math.hypot(moved.clientX - event.clientX, moved.clientY - event.clientY) > SLOP;
      if (isDragged) move(moved);
    }, { signal });
    const end = () => {
      drag.abort();
      if (tool === "measure" && this.view) this.measuring.release(this.view.scaleX);
    };
    for (const type of ["pointerup", "pointercancel"]) this.element.addEventListener(type, end, { signal });
  }

  /**
   * @param {PointerEvent} event
   * @returns {Tool | null}
   */
  #toolOf(event) {
    if (event.button === 1 || event.shiftKey) return "pan";
    return event.button === 0 ? this.tool : null;
  }

  /**
   * Start a drag and return what to do for each movement, counted from the start so that none is lost between frames.
   * @param {Tool} tool
   * @param {PointerEvent} start
   * @returns {((event: PointerEvent) => void) | null}
   */
  #startDrag(tool, start) {
    if (tool === "pan") {
      let last = this.#point(start);
      return (event) => {
        const here = this.#point(event);
        this.pan(here.x - last.x, here.y - last.y);
        last = here;
      };
    }
    if (tool === "measure") {
      const here = this.#imagePoint(start);
      if (here) this.measuring.press(here);
      return here && ((event) => this.measuring.move(this.#imagePoint(event) ?? here));
    }
    const window = this.listener.window();
    if (!window) return null;
    return (event) => this.listener.dragged(event.clientX - start.clientX, event.clientY - start.clientY, window);
  }

  /** @param {PointerEvent} event */
  #imagePoint(event) {
    return this.view ? toImage(this.view, this.#point(event)) : null;
  }

  /**
   * Return the position of the pointer in device pixels of the pane that is under it or nearest to it.
   * @param {MouseEvent} event
   */
  #point(event) {
    const rects = this.panes.map((pane) => pane.element.getBoundingClientRect());
    const rect = rects.findLast(({ left }) => event.clientX >= left) ?? rects[0];
    return { x: (event.clientX - rect.left) * devicePixelRatio, y: (event.clientY - rect.top) * devicePixelRatio };
  }
}
