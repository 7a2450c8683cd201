// How a radiograph is shown: window, inversion, map, box. Values here, the drawing elsewhere.

import { colours } from "./colormap.js";
import { grid, relative } from "./heat_map.js";
import { Raster } from "./raster.js";
import { dragged, fullRange, greys } from "./window.js";

const STEPS = 1024; // pixels of a drag that cross all values of the image

export class Display {
  map = ""; // of a finding, or the whole
  inverted = false;

  /** @param loaded as `api.radiograph` gives it; `looks` outlives it: {heat, box, colormap, opacity} */
  constructor({ header, values, maps, prediction }, looks) {
    Object.assign(this, { header, looks, box: prediction.box, content: maps.content });
    this.raster = new Raster(values, header);
    this.maps = { "": grid(maps.heat_map) };
    for (const [label, rows] of Object.entries(maps.class_maps)) this.maps[label] = relative(grid(rows));
    const full = fullRange(header, this.raster.range);
    const known = header.windows.some((window) => window.name === full.name);
    this.presets = known ? header.windows : [...header.windows, full];
    this.step = full.width / STEPS;
    this.choose(0);
  }

  choose(index) {
    this.preset = index;
    this.window = this.presets[index];
  }

  drag(dx, dy, begin) {
    this.window = dragged(begin, dx, dy, this.step);
    this.preset = -1;
  }

  reset() {
    this.inverted = false;
    this.choose(0);
  }

  value(point) {
    const stored = this.raster.at(point.x, point.y);
    return stored === null ? null : stored * this.header.slope + this.header.intercept;
  }

  /** Greys of a window: of the one that is chosen, or as the network saw it. */
  greys(window = this.window, inverted = this.inverted) {
    return greys(this.header, window, this.header.invert !== inverted, this.raster.range);
  }

  picture() {
    const { heat, box, colormap, opacity } = this.looks;
    const shown = { map: this.maps[this.map], content: this.content, table: colours(colormap), opacity };
    return {
      raster: this.raster,
      greys: this.greys(),
      heat: heat ? shown : null,
      box: box ? this.box : null,
      spacing: this.header.spacing && { pair: this.header.spacing, from: this.header.spacing_from },
      orientation: this.header.orientation,
    };
  }
}
