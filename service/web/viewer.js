// One radiograph, its findings, and every way to look at it.

import { entry, markRead } from "./api.js";
import { NAMES } from "./colormap.js";
import { offer, press, rounded, showLegend, showState, showWindow } from "./controls.js";
import { Display } from "./display.js";
import { byId, element } from "./element.js";
import { showChosen, showPanel, showRead } from "./panel.js";
import { words } from "./problem.js";
import { Radiographs } from "./radiographs.js";
import { reader } from "./reader.js";
import { Stage } from "./stage.js";
import { say } from "./toast.js";
import { fitBox } from "./view.js";

export class Viewer {
  hover = "";
  looks = { heat: true, box: true, colormap: NAMES[0], opacity: 0.4 };
  #loaded = new Radiographs();

  /** @param go (id) => shows another; `close` goes back to the list; `listing` has the neighbours */
  constructor(listing, go, close) {
    Object.assign(this, { listing, go, close });
    this.stage = new Stage(
      () => this.display?.picture() ?? null,
      (dx, dy, begin) => (begin ? this.#drag(dx, dy, begin) : this.display.window),
      (point) => this.#hover(point),
    );
    this.stage.drawn = () => showState(this.display, this.stage.view, this.hover);
    for (const button of document.querySelectorAll("#viewer .tools [data-key]")) {
      button.addEventListener("click", () => this.actions[button.dataset.key]?.());
    }
    byId("colours").append(...NAMES.map((name) => element("option", {}, name)));
    this.#listen();
  }

  get actions() {
    const leaving = { Escape: () => this.close(), j: () => this.step(1), k: () => this.step(-1) };
    return this.display ? { ...leaving, ...this.stage.actions, ...this.#looking } : leaving;
  }

  get #looking() {
    return {
      m: () => this.toggleRead(),
      h: () => this.#toggle("heat"), b: () => this.#toggle("box"),
      o: () => this.toggleSides(), s: () => this.toggleScores(),
      w: () => this.choosePreset((this.display.preset + 1) % this.display.presets.length),
      d: () => this.#use("window"), p: () => this.#use("pan"), l: () => this.#use("ruler"),
      i: () => this.invert(), r: () => this.reset(),
    };
  }

  async open(id) {
    this.#clear(id);
    byId("stage-message").textContent = this.#loaded.isHere(id) ? "" : "Loading";
    try {
      const [loaded, about] = await Promise.all([this.#loaded.load(id), entry(id)]);
      if (this.id === id) this.#show(loaded, about);
    } catch (error) {
      if (this.id === id) byId("stage-message").textContent = words(error);
    }
  }

  leave() {
    this.#loaded.clear();
    this.#clear(null);
  }

  async step(by) {
    try {
      const next = await this.listing.neighbour(this.id, by);
      if (next) this.go(next.id);
      else say(`This is the ${by > 0 ? "last" : "first"} radiograph`);
    } catch (error) {
      say(words(error), "problem");
    }
  }

  async toggleRead() {
    const { id } = this;
    try {
      const marked = await markRead(id, !this.entry.read, reader());
      if (this.id === id) this.#tell(marked);
      say(marked.read ? "Marked read" : "Marked unread");
    } catch (error) {
      say(words(error), "problem");
    }
  }

  toggleSides() {
    const both = this.stage.panes.length === 1;
    press("o", both);
    this.stage.arrange(both ? ["original", "overlay"] : ["overlay"]);
  }

  toggleScores() {
    press("s", byId("bars").classList.toggle("with-scores"));
  }

  choosePreset(index) {
    this.display.choose(index);
    this.#windowed();
  }

  invert() {
    this.display.inverted = !this.display.inverted;
    this.#windowed();
  }

  reset() {
    this.display.reset();
    this.stage.rulers = [];
    this.stage.fit();
    this.#windowed();
  }

  showMap(name) {
    this.display.map = name;
    byId("map").value = name;
    showChosen(name);
    this.stage.redraw("heat");
  }

  /** Somebody else may have marked this one, or deleted it. */
  async changed(event) {
    const { id } = this;
    if (event.kind === "deleted") this.#loaded.drop(event.id);
    if (event.id !== id) return;
    if (event.kind === "deleted") {
      this.#clear(id);
      byId("stage-message").textContent = "This radiograph was deleted";
    } else await entry(id).then((about) => this.id === id && this.#tell(about), () => {});
  }

  #tell(about) {
    this.entry = about;
    showRead(about);
  }

  #show(loaded, about) {
    this.display = new Display(loaded, this.looks);
    this.stage.rulers = [];
    byId("stage-message").textContent = "";
    const { display } = this;
    offer(display);
    showPanel(loaded.prediction, about, (name) => this.showMap(display.map === name ? "" : name));
    this.#tell(about);
    this.#drawCrop();
    showLegend(this.looks);
    this.stage.fit();
    this.#windowed();
    byId("told").textContent = `${byId("priority").textContent}. ${byId("sentence").textContent}`;
    byId("viewer").dataset.shown = loaded.prediction.id;
    this.#ahead();
  }

  /** Nothing of one patient is on the screen, or acts, while another's radiograph is on its way. */
  #clear(id) {
    this.id = id;
    this.display = this.entry = null;
    this.hover = byId("told").textContent = "";
    if (id && byId("panel").contains(document.activeElement)) byId("stage").focus({ preventScroll: true });
    delete byId("viewer").dataset.shown;
  }

  /** Fetch the next one while this one is read. */
  async #ahead() {
    const at = this.listing.items.findIndex((item) => item.id === this.id);
    const next = at >= 0 && this.listing.items[at + 1];
    if (next && !this.#loaded.has(next.id)) {
      const { id } = this;
      await new Promise((resolve) => setTimeout(resolve, 300));
      if (this.id !== id) return;
      this.#loaded.load(next.id).catch(() => {}); // it is asked for again when opened
    }
  }

  #drag(dx, dy, begin) {
    this.display.drag(dx, dy, begin);
    this.#windowed();
  }

  #windowed() {
    showWindow(this.display);
    this.stage.redraw("grey");
  }

  #toggle(look) {
    this.looks[look] = !this.looks[look];
    press(look === "heat" ? "h" : "b", this.looks[look]);
    showLegend(this.looks);
    this.stage.redraw(look === "heat" ? "heat" : "lines");
  }

  #use(tool) {
    this.stage.tool = tool;
    for (const [key, name] of [["d", "window"], ["p", "pan"], ["l", "ruler"]]) press(key, name === tool);
    byId("stage").dataset.tool = tool;
  }

  /** As the network saw it: with the file's own window, whatever the reader does. */
  #drawCrop() {
    const { raster, box, presets } = this.display;
    const canvas = byId("crop");
    raster.draw(canvas, fitBox(raster, box, canvas), this.display.greys(presets[0], false), false);
  }

  #hover(point) {
    if (!this.display || !this.stage.view) return;
    const value = point && this.display.value(point);
    this.hover = value === null ? "" : `  (${Math.floor(point.x)}, ${Math.floor(point.y)}): ${rounded(value)}`;
    showState(this.display, this.stage.view, this.hover);
  }

  #listen() {
    let pointed = false;
    for (const kind of ["pointerdown", "keydown"]) byId("panel").addEventListener(kind, () => (pointed = kind === "pointerdown"));
    const on = (id, act) => byId(id).addEventListener("input", (event) => {
      if (this.display) act(event.target);
      // where the pointer chose, single keys would go on choosing options
      if (pointed && event.target.matches("select")) byId("stage").focus({ preventScroll: true });
    });
    on("preset", (field) => this.choosePreset(Number(field.value)));
    on("map", (field) => this.showMap(field.value));
    on("colours", (field) => {
      this.looks.colormap = field.value;
      showLegend(this.looks);
      this.stage.redraw("heat");
    });
    on("opacity", (field) => {
      this.looks.opacity = field.value / 100;
      this.stage.redraw("heat");
    });
    for (const [id, name] of [["level", "center"], ["width", "width"]]) {
      byId(id).addEventListener("change", (event) => {
        if (!this.display) return;
        const { window } = this.display;
        const value = event.target.valueAsNumber;
        if (Number.isFinite(value) && (name === "center" || value > 0)) {
          Object.assign(this.display, { window: { ...window, [name]: value }, preset: -1 });
        }
        this.#windowed();
      });
    }
  }
}
