// The stage: one or two panes with a common view, moved by the pointer, the wheel and the arrow keys.

import { byId, targetOf } from "./element.js";
import { listenToGestures } from "./gestures.js";
import { Pane, paneAt } from "./pane.js";
import { changeWindow, stageActions } from "./stage_keys.js";
import { UPRIGHT } from "./turn.js";
import { actual, fit, panned, toImage, turnedTo, zoomed } from "./view.js";

/**
 * @import { Window } from "./api.js"
 * @import { Picture } from "./display.js"
 * @import { Beside } from "./linked.js"
 * @import { Drawing } from "./measurement_lines.js"
 * @import { Measuring } from "./measuring.js"
 * @import { Layer } from "./pane.js"
 * @import { Turn } from "./turn.js"
 * @import { Point, Size, View } from "./view.js"
 *
 * @typedef {"window" | "pan" | "measure"} Tool
 *
 * @typedef {object} Listener
 * @property {() => Picture | null} picture  what to draw
 * @property {() => Drawing[]} measurements  what to draw over it
 * @property {() => Beside | null} beside  what to draw in the pane of the prior
 * @property {() => Window | null} window  the window at the start of a drag
 * @property {(dx: number, dy: number, start: Window) => void} dragged
 * @property {(point: Point | null) => void} hovered  point of the image under the pointer
 * @property {(view: View) => void} drawn
 */

const REST_MS = 120; // time after the last movement until the picture is drawn in full quality
const SLOP = 6; // screen pixels that a finger moves before it drags, as the second one of two may follow
/** @type {Layer[]} */
const LAYERS = ["grey", "heat", "lines"];

export class Stage {
  /** @type {Tool} */
  tool = "window";
  /** @type {View | null} */
  view = null;
  /** @type {Turn} */
  turn = UPRIGHT;
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
      window: (dx, dy) => changeWindow(listener, dx, dy),
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

  get actions() {
    return stageActions(this);
  }

  /** @param {("original" | "overlay" | "prior")[]} names */
  arrange(names) {
    this.panes = names.map((name) => new Pane(name));
    byId("panes").replaceChildren(...this.panes.map((pane) => pane.element));
    this.#resize();
  }

  fit() {
    this.#mode = "fit";
    this.#show((picture, size) => fit(picture.raster, size, this.turn, this.listener.beside()?.extent));
  }

  actual() {
    this.#mode = "actual";
    this.#show((picture, size) => actual(picture.raster, size, this.turn));
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
    const current = this.listener.picture();
    if (!current || !this.view) return;
    const beside = this.listener.beside();
    for (const pane of this.panes) {
      const [isOverlay, other] = [pane.name === "overlay", pane.name === "prior" ? beside : null];
      const [picture, view] = other ? [other.picture, other.view(this.view)] : [current, this.view];
      const shown = isOverlay ? picture : { ...picture, heat: null, box: null };
      pane.draw(this.#dirty, shown, { view, measurements: other ? [] : this.listener.measurements(), moving: this.#moving });
    }
    this.#dirty.clear();
    this.element.dataset.drawn = this.#moving ? "moving" : "settled";
    this.listener.drawn(this.view);
  }

  /** @param {(picture: Picture, size: Size) => View} placement */
  #show(placement) {
    const picture = this.listener.picture();
    if (!picture || !this.size) return;
    this.view = placement(picture, this.size);
    this.redraw(LAYERS, false);
  }

  /** Place the picture as its turn and the size of the stage are now. */
  placeAgain() {
    if (this.#mode === "fit") this.fit();
    else if (this.#mode === "actual") this.actual();
    else if (this.view && this.size) {
      this.view = turnedTo(this.view, this.turn, { x: this.size.width / 2, y: this.size.height / 2 });
      this.redraw();
    }
  }

  #resize() {
    const ratio = devicePixelRatio;
    const size = this.panes[0].measured(ratio);
    if (!size.width || !size.height) return;
    const before = this.size ?? size;
    this.size = size;
    for (const pane of this.panes) pane.resize(size, ratio);
    if (this.#mode !== "free") this.placeAgain();
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
    return this.view && paneAt(this.panes, event).name !== "prior" ? toImage(this.view, this.#point(event)) : null;
  }

  /** @param {MouseEvent} event */
  #point(event) {
    return paneAt(this.panes, event).point(event);
  }
}
