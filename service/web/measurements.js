// The measurements of the open radiograph: kept by the service with name and time, drawn on the image, listed in the panel.

import { json, post, request } from "./api.js";
import { byId, element } from "./element.js";
import { caption, KINDS, quantity, valueWords } from "./measurement.js";
import { Measuring } from "./measuring.js";
import { words } from "./problem.js";
import { reader } from "./reader.js";
import { byAndTime } from "./row.js";
import { say } from "./toast.js";

/**
 * @import { Display } from "./display.js"
 * @import { Kind, Quantity, Shape } from "./measurement.js"
 * @import { Drawing } from "./measurement_lines.js"
 *
 * @typedef {Quantity & { id: string, kind: Kind, points: [number, number][], at: string, by: string }} Kept  points: column, row
 */

export class Measurements {
  /** @type {Display | null} */
  #display = null;
  /** @type {Kept[]} */
  #kept = [];
  /** @type {Drawing[]} */
  #sent = []; // drawn, but not yet answered by the service
  /** @type {Set<Promise<unknown>>} */
  #changes = new Set(); // of this page, not yet answered by the service
  #latest = 0; // how often the list was fetched

  /** @param {() => void} redraw  draws the lines again */
  constructor(redraw) {
    this.redraw = redraw;
    this.measuring = new Measuring({ changed: redraw, finished: (shape) => this.#keep(shape) });
  }

  /** Return what to draw. @returns {Drawing[]} */
  get drawings() {
    const kept = this.#kept.map(({ points, ...one }) => (
      { kind: one.kind, points: points.map(([x, y]) => ({ x, y })), caption: caption(one.kind, one) }
    ));
    const { shape } = this.measuring;
    return [...kept, ...this.#sent, ...(shape ? [this.#drawing(shape)] : [])];
  }

  /** @param {Display | null} display */
  open(display) {
    this.#display = display;
    [this.#kept, this.#sent, this.#changes] = [[], [], new Set()];
    if (display) this.measuring.image = display.raster;
    this.measuring.cancel();
    this.#show();
    this.refresh();
  }

  /** Fetch the measurements again, as another reader may have changed them. */
  async refresh() {
    const [display, round] = [this.#display, ++this.#latest];
    if (!display) return;
    try {
      await Promise.allSettled(this.#changes); // events tell of a change before the service has answered it
      const { items } = await json(path(display));
      if (round !== this.#latest) return;
      this.#kept = items;
      this.#show();
    } catch (error) {
      if (round === this.#latest) say(`The measurements could not be loaded. ${words(error)}`, "problem");
    }
  }

  /**
   * Wait for the answer to a change, and fetch the measurements after it: what is being fetched now may lack it.
   * @template T
   * @param {Promise<T>} change
   */
  async #answered(change) {
    this.#changes.add(change);
    this.refresh();
    try {
      return await change;
    } finally {
      this.#changes.delete(change);
    }
  }

  /** @param {Shape} shape */
  async #keep(shape) {
    const display = this.#display;
    if (!display) return;
    const drawing = this.#drawing(shape);
    this.#sent.push(drawing);
    this.redraw();
    const by = reader();
    const points = shape.points.map(({ x, y }) => [x, y]);
    try {
      const kept = await this.#answered(json(path(display), post({ kind: shape.kind, points, ...(by && { by }) })));
      if (this.#display !== display) return;
      this.#kept = [...this.#kept.filter(({ id }) => id !== kept.id), kept];
      say(`${KINDS[shape.kind].name}: ${valueWords(kept)}`);
    } catch (error) {
      say(`The measurement was not kept. ${words(error)}`, "problem");
    } finally {
      if (this.#display === display) {
        this.#sent = this.#sent.filter((one) => one !== drawing);
        this.#show();
      }
    }
  }

  /** @param {Kept} measurement */
  async #delete(measurement) {
    const display = this.#display;
    if (!display) return;
    const by = reader();
    try {
      await this.#answered(request(`${path(display)}/${measurement.id}`, { ...post(by ? { by } : {}), method: "DELETE" }));
      if (this.#display !== display) return;
      const place = this.#kept.findIndex(({ id }) => id === measurement.id);
      this.#kept = this.#kept.filter(({ id }) => id !== measurement.id);
      this.#show();
      const buttons = byId("measurement-list").querySelectorAll("button");
      (buttons[Math.min(Math.max(place, 0), buttons.length - 1)] ?? byId("stage")).focus({ preventScroll: true });
      say("Measurement deleted");
    } catch (error) {
      say(`The measurement was not deleted. ${words(error)}`, "problem");
    }
  }

  /** Show the list. Lines of measurements that are still there stay: the button of one may just be being pressed. */
  #show() {
    byId("measurements").hidden = !this.#kept.length;
    const list = byId("measurement-list");
    const ids = this.#kept.map(({ id }) => id);
    for (const line of [...list.children]) if (!ids.includes(line.getAttribute("data-id") ?? "")) line.remove();
    const lines = new Map([...list.children].map((line) => [line.getAttribute("data-id"), line]));
    this.#kept.forEach((one, index) => {
      const line = lines.get(one.id) ?? this.#item(one);
      if (list.children[index] !== line) list.insertBefore(line, list.children[index] ?? null);
    });
    this.redraw();
  }

  /** @param {Kept} measurement */
  #item(measurement) {
    const text = `${KINDS[measurement.kind].name} ${valueWords(measurement)}`;
    const button = element("button", { type: "button", "aria-label": `Delete: ${text}` }, "Delete");
    button.addEventListener("click", () => this.#delete(measurement));
    return element(
      "li", { "data-id": measurement.id },
      element("span", {}, text, element("span", { class: "quiet" }, `Drawn${byAndTime(measurement.by, measurement.at)}`)),
      button,
    );
  }

  /**
   * @param {Shape} shape
   * @returns {Drawing}
   */
  #drawing(shape) {
    const value = this.#display && quantity(shape, this.#display.header);
    return { ...shape, caption: value ? caption(shape.kind, value) : "" };
  }
}

/** @param {Display} display */
function path({ prediction }) {
  return `predictions/${encodeURIComponent(prediction.id)}/measurements`;
}
