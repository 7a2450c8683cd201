// How a radiograph is displayed: window, inversion, attention map and box. Drawing is done by pane.js.

import { tints } from "./colormap.js";
import { grid, scaled } from "./heat_map.js";
import { Raster } from "./raster.js";
import { leading } from "./reason.js";
import { automatic, dragged, fullRange, greys } from "./window.js";

/**
 * @import { Box, Radiograph, Window } from "./api.js"
 * @import { Grid } from "./heat_map.js"
 * @import { Point } from "./view.js"
 *
 * @typedef {{ heat: boolean, box: boolean, cells: boolean, colormap: string, opacity: number }} Appearance
 * @typedef {{ map: Grid, content: Box, table: Uint32Array, opacity: number, cells: boolean }} Heat
 *
 * @typedef {object} Picture
 * @property {Raster} raster
 * @property {Uint32Array} greys
 * @property {Heat | null} heat
 * @property {Box | null} box
 * @property {[string, string] | null} orientation
 */

const STEPS = 1024; // length in pixels of a drag that spans all values of the image

export class Display {
  inverted = false;
  /** @type {number | null} */
  preset = 0; // index in `presets`, or null for a window set by hand

  /**
   * @param {Radiograph} radiograph
   * @param {Appearance} appearance  shared by all radiographs that are shown
   */
  constructor({ header, values, maps, prediction }, appearance) {
    this.header = header;
    this.appearance = appearance;
    this.content = maps.content;
    this.raster = new Raster(values, header);
    /** @type {Record<string, Grid>} */
    this.maps = { "": grid(maps.heat_map.map((row) => row.map((value) => value / 2))) }; // as all that has no reference
    this.references = maps.references;
    for (const [label, rows] of Object.entries(maps.class_maps)) {
      this.maps[label] = scaled(grid(rows), maps.references[label]);
    }
    this.leading = leading(prediction)?.label ?? null;
    /** @type {string | null} */
    this.map = this.leading; // label of the finding whose map is shown, "" for the overall map, null for none
    this.prediction = prediction;
    const full = fullRange(header, this.raster.range);
    const added = [automatic(header, this.raster.levels[0]), full].filter((window) => window !== null);
    const names = header.windows.map((window) => window.name);
    this.presets = [...header.windows, ...added.filter((window) => !names.includes(window.name))];
    this.step = full.width / STEPS;
    this.window = this.presets[0];
  }

  /** @param {number} index */
  choose(index) {
    this.preset = index;
    this.window = this.presets[index];
  }

  /** @param {Window} window */
  setWindow(window) {
    this.preset = null;
    this.window = window;
  }

  /**
   * @param {number} dx
   * @param {number} dy
   * @param {Window} start  window at the start of the drag
   */
  drag(dx, dy, start) {
    this.setWindow(dragged(start, dx, dy, this.step));
  }

  reset() {
    this.inverted = false;
    this.choose(0);
  }

  /**
   * Return the value after the Modality LUT at a point of the image, or null outside of the image.
   * @param {Point} point
   */
  value(point) {
    const stored = this.raster.at(point.x, point.y);
    return stored === null ? null : stored * this.header.slope + this.header.intercept;
  }

  /** Return the grey of each stored value in the chosen window. */
  greys() {
    return this.#greys(this.window, this.inverted);
  }

  /** Return the grey of each stored value as the network received it: in the file's own window, not inverted. */
  originalGreys() {
    return this.#greys(this.presets[0], false);
  }

  /** @returns {Picture} */
  picture() {
    const { heat, box, colormap, opacity, cells } = this.appearance;
    const { orientation } = this.header;
    const map = heat && this.map !== null ? this.maps[this.map] : null;
    return {
      raster: this.raster,
      greys: this.greys(),
      heat: map && { map, content: this.content, table: tints(colormap), opacity, cells },
      box: box ? this.prediction.box : null,
      orientation,
    };
  }

  /**
   * @param {Window} window
   * @param {boolean} inverted
   */
  #greys(window, inverted) {
    return greys(this.header, window, this.header.invert !== inverted, this.raster.range);
  }
}
