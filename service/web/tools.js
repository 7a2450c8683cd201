// The viewer's tools: everything that changes how the open radiograph is displayed.

import { DEFAULT } from "./colormap.js";
import { rounded, showMap, showPressed, showState, showWindow } from "./controls.js";
import { byId } from "./element.js";
import { showLegend } from "./legend.js";
import { linked } from "./linked.js";
import { KINDS } from "./measurement.js";
import { Measurements } from "./measurements.js";
import { showChosen } from "./panel.js";
import { Stage } from "./stage.js";
import { say } from "./toast.js";
import { UPRIGHT } from "./turn.js";

/**
 * @import { Card, Window } from "./api.js"
 * @import { Appearance, Display } from "./display.js"
 * @import { Actions } from "./keys.js"
 * @import { Kind } from "./measurement.js"
 * @import { Tool } from "./stage.js"
 * @import { Point } from "./view.js"
 */

const HELD_MS = 400; // a key that is held longer shows the map until it is released
/** @type {[string, Tool | Kind][]} */
const DRAG_TOOLS = [["d", "window"], ["v", "pan"], ["l", "length"], ["n", "angle"], ["c", "cardiothoracic_ratio"]];

export class Tools {
  /** @type {Display | null} */
  display = null; // null while no radiograph is open
  /** @type {Display | null} */
  beside = null; // a prior
  /** @type {Appearance} */
  appearance = { heat: false, box: false, cells: false, colormap: DEFAULT, opacity: 0.6 };
  #pointer = ""; // position and value under the pointer, as text

  /** @param {Card} card */
  constructor(card) {
    this.card = card;
    this.measurements = new Measurements(() => this.stage?.redraw(["lines"]));
    this.stage = new Stage({
      picture: () => this.display?.picture() ?? null,
      measurements: () => this.measurements.drawings,
      beside: () => this.display && this.beside && linked(this.display, this.beside),
      window: () => this.display?.window ?? null,
      dragged: (dx, dy, start) => {
        this.display?.drag(dx, dy, start);
        this.showWindow();
      },
      hovered: (point) => this.#hover(point),
      drawn: () => this.#showState(),
    }, this.measurements.measuring);
  }

  /** @returns {Actions} */
  get actions() {
    return {
      ...this.stage.actions,
      h: (event) => this.#toggleMap(event), b: () => this.#toggleBox(), g: () => this.#toggleCells(),
      o: () => this.#toggleSideBySide(), s: () => this.#toggleScores(),
      w: () => this.#chooseNextPreset(),
      d: () => this.#use("window"), v: () => this.#use("pan"),
      l: () => this.#use("length"), n: () => this.#use("angle"), c: () => this.#use("cardiothoracic_ratio"),
      i: () => this.#invert(), r: () => this.#reset(),
      ...(this.measurements.measuring.isUnderWay && { Escape: () => this.measurements.measuring.cancel() }),
    };
  }

  /** @param {Display | null} display */
  open(display) {
    this.display = display;
    this.#pointer = "";
    this.measurements.open(display);
    this.stage.turn = UPRIGHT;
    if (!display) return;
    Object.assign(this.appearance, { heat: false, box: false }); // a reader looks at each radiograph alone first
    this.#showBox();
    this.#showMap();
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
    this.appearance.heat = true;
    this.#showMap();
  }

  /**
   * Show the map of a finding, or hide it if it is shown.
   * @param {string} name
   */
  toggleMapOf(name) {
    if (!this.display) return;
    this.appearance.heat = !this.appearance.heat || this.display.map !== name;
    this.display.map = this.appearance.heat ? name : this.display.leading;
    this.#showMap();
  }

  /** Draw the attention map again after its colours or opacity changed. */
  showAppearance() {
    this.#showMap();
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
    this.measurements.measuring.cancel();
    this.stage.turn = UPRIGHT;
    this.stage.fit();
    this.showWindow();
  }

  /**
   * Show a prior beside the open radiograph, or close it.
   * @param {Display | null} prior
   */
  showBeside(prior) {
    this.beside = prior;
    this.#pointer = ""; // it may be over the prior now
    showPressed("o", false);
    byId("stage").classList.toggle("with-prior", prior !== null);
    this.stage.arrange(prior ? ["overlay", "prior"] : ["overlay"]);
  }

  #toggleSideBySide() {
    const on = this.stage.panes.every((pane) => pane.name !== "original");
    showPressed("o", on);
    this.stage.arrange(on ? ["original", "overlay"] : ["overlay"]);
  }

  #toggleScores() {
    if (this.display?.prediction.second_look) showPressed("s", byId("bars").classList.toggle("with-scores"));
    else if (this.display) say("This model takes no second look: each finding has one score");
  }

  /**
   * Switch the map on or off, and back when a key that was held is released.
   * @param {KeyboardEvent} [pressed]
   */
  #toggleMap(pressed) {
    this.appearance.heat = !this.appearance.heat;
    this.#showMap();
    if (!pressed) return;
    const { display } = this;
    const release = new AbortController();
    addEventListener("keyup", ({ key, timeStamp }) => {
      if (key.toLowerCase() !== pressed.key.toLowerCase()) return;
      release.abort();
      if (timeStamp - pressed.timeStamp > HELD_MS && this.display === display) this.#toggleMap();
    }, { signal: release.signal });
  }

  #toggleBox() {
    this.appearance.box = !this.appearance.box;
    this.#showBox();
    this.stage.redraw(["lines"]);
  }

  #toggleCells() {
    this.appearance.cells = !this.appearance.cells;
    this.#showMap();
  }

  #showBox() {
    showPressed("b", this.appearance.box);
    byId("crop-figure").hidden = !this.appearance.box;
  }

  #showMap() {
    if (!this.display) return;
    const { appearance, card, display } = this;
    showPressed("h", appearance.heat);
    showPressed("g", appearance.cells);
    showMap(display);
    showChosen(appearance.heat ? display.map : null);
    showLegend(display, appearance, card.sha256 === display.prediction.model.sha256 ? card.localisation : undefined);
    this.stage.redraw(["heat"]);
  }

  /** @param {Tool | Kind} tool  what a drag does */
  #use(tool) {
    const kind = tool in KINDS ? /** @type {Kind} */ (tool) : null;
    this.measurements.measuring.use(kind);
    this.stage.tool = kind ? "measure" : /** @type {Tool} */ (tool);
    if (kind) say(`${KINDS[kind].name}: ${KINDS[kind].hint}`);
    for (const [key, name] of DRAG_TOOLS) showPressed(key, name === tool);
    byId("stage").dataset.tool = tool;
  }

  /** @param {Point | null} point */
  #hover(point) {
    if (!this.display) return;
    if (point) this.measurements.measuring.move(point);
    const value = point && this.display.value(point);
    const isInside = point !== null && value !== null;
    this.#pointer = isInside ? `  (${Math.floor(point.x)}, ${Math.floor(point.y)}): ${rounded(value)}` : "";
    this.#showState();
  }

  #showState() {
    if (this.display && this.stage.view) showState(this.display, this.stage.view, this.#pointer);
  }
}
