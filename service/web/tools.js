// The viewer's tools: everything that changes how the open radiograph is displayed.

import { DEFAULT } from "./colormap.js";
import { rounded, showLegend, showPressed, showState, showWindow } from "./controls.js";
import { byId } from "./element.js";
import { showChosen } from "./panel.js";
import { Stage } from "./stage.js";

/**
 * @import { Window } from "./api.js"
 * @import { Appearance, Display } from "./display.js"
 * @import { Actions } from "./keys.js"
 * @import { Tool } from "./stage.js"
 * @import { Point } from "./view.js"
 */

/** @type {[string, Tool][]} */
const DRAG_TOOLS = [["d", "window"], ["p", "pan"], ["l", "ruler"]];

export class Tools {
  /** @type {Display | null} */
  display = null; // null while no radiograph is open
  /** @type {Appearance} */
  appearance = { heat: true, box: true, colormap: DEFAULT, opacity: 0.4 };
  #pointer = ""; // position and value under the pointer, as text

  constructor() {
    this.stage = new Stage({
      picture: () => this.display?.picture() ?? null,
      window: () => this.display?.window ?? null,
      dragged: (dx, dy, start) => {
        this.display?.drag(dx, dy, start);
        this.showWindow();
      },
      hovered: (point) => this.#hover(point),
      drawn: () => this.#showState(),
    });
  }

  /** @returns {Actions} */
  get actions() {
    return {
      ...this.stage.actions,
      h: () => this.#toggle("heat"), b: () => this.#toggle("box"),
      o: () => this.#toggleSideBySide(), s: () => this.#toggleScores(),
      w: () => this.#chooseNextPreset(),
      d: () => this.#use("window"), p: () => this.#use("pan"), l: () => this.#use("ruler"),
      i: () => this.#invert(), r: () => this.#reset(),
    };
  }

  /** @param {Display | null} display */
  open(display) {
    this.display = display;
    this.#pointer = "";
    this.stage.rulers = [];
    if (!display) return;
    showLegend(this.appearance);
    this.stage.fit();
    this.showWindow();
  }

  /** @param {number} index */
  choosePreset(index) {
    this.display?.choose(index);
    this.showWindow();
  }

  /** @param {Window} window */
  setWindow(window) {
    this.display?.setWindow(window);
    this.showWindow();
  }

  /** @param {string} name  label of a finding, or "" for the overall map */
  showMap(name) {
    if (!this.display) return;
    this.display.map = name;
    byId("map", HTMLSelectElement).value = name;
    showChosen(name);
    this.stage.redraw(["heat"]);
  }

  /** Draw the attention map again after its colours or opacity changed. */
  showAppearance() {
    showLegend(this.appearance);
    this.stage.redraw(["heat"]);
  }

  /** Draw the image again after its window changed, and show the window in the fields. */
  showWindow() {
    if (!this.display) return;
    showWindow(this.display);
    this.stage.redraw(["grey"]);
  }

  #chooseNextPreset() {
    if (this.display) this.choosePreset(((this.display.preset ?? -1) + 1) % this.display.presets.length);
  }

  #invert() {
    if (this.display) this.display.inverted = !this.display.inverted;
    this.showWindow();
  }

  #reset() {
    this.display?.reset();
    this.stage.rulers = [];
    this.stage.fit();
    this.showWindow();
  }

  #toggleSideBySide() {
    const on = this.stage.panes.length === 1;
    showPressed("o", on);
    this.stage.arrange(on ? ["original", "overlay"] : ["overlay"]);
  }

  #toggleScores() {
    showPressed("s", byId("bars").classList.toggle("with-scores"));
  }

  /** @param {"heat" | "box"} layer */
  #toggle(layer) {
    this.appearance[layer] = !this.appearance[layer];
    showPressed(layer === "heat" ? "h" : "b", this.appearance[layer]);
    showLegend(this.appearance);
    this.stage.redraw([layer === "heat" ? "heat" : "lines"]);
  }

  /** @param {Tool} tool  what a drag does */
  #use(tool) {
    this.stage.tool = tool;
    for (const [key, name] of DRAG_TOOLS) showPressed(key, name === tool);
    byId("stage").dataset.tool = tool;
  }

  /** @param {Point | null} point */
  #hover(point) {
    if (!this.display) return;
    const value = point && this.display.value(point);
    const isInside = point !== null && value !== null;
    this.#pointer = isInside ? `  (${Math.floor(point.x)}, ${Math.floor(point.y)}): ${rounded(value)}` : "";
    this.#showState();
  }

  #showState() {
    if (this.display && this.stage.view) showState(this.display, this.stage.view, this.#pointer);
  }
}
