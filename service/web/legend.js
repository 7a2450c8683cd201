// The legend below the radiograph: what the map shows, its grid and its scale, and how far it can be relied on.

import { drawBar } from "./colormap.js";
import { byId } from "./element.js";
import { label } from "./findings.js";

/**
 * @import { Localisation } from "./api.js"
 * @import { Appearance, Display } from "./display.js"
 */

/**
 * @param {Display} display
 * @param {Appearance} appearance
 * @param {Localisation | undefined} localisation  of the model that made the prediction
 */
export function showLegend(display, appearance, localisation) {
  const isDrawn = appearance.heat && display.map !== null;
  byId("legend-text").textContent = isDrawn ? shown(display) : notShown(display, appearance.heat);
  byId("legend-scale").hidden = !isDrawn;
  byId("legend-measured").textContent = isDrawn && localisation ? measured(localisation, display.map ?? "") : "";
  if (isDrawn) drawBar(byId("legend-bar", HTMLCanvasElement), appearance);
}

/** @param {Display} display */
function shown({ map, maps, references }) {
  const { rows, columns } = maps[map ?? ""];
  const subject = map ? `Map of ${label(map)}` : "Overall map, of no single finding";
  const own = map && references[map] !== null ? [] : ["scaled to its own maximum"];
  return [subject, `${columns} × ${rows} cells`, ...own, "not an outline of disease"].join(" · ");
}

/**
 * @param {Display} display
 * @param {boolean} wanted
 */
function notShown({ leading }, wanted) {
  if (!leading) return `No map: no finding is above its operating point${wanted ? "; click a finding to see its map" : ""}`;
  return `Map off · H shows that of ${label(leading)}, while it is held or until it is pressed again`;
}

/**
 * Say how often the peak lies in a box that a radiologist drew.
 * @param {Localisation} localisation
 * @param {string} map  label of the finding whose map is drawn; empty for the overall map
 */
export function measured({ peak, class_map: own, fixed_cell: fixed, boxes }, map) {
  const [subject, share] = map && own !== undefined ? ["the peak of the finding's map", own] : ["the overall map's peak", peak];
  return `Tested on ${boxes} boxes that radiologists drew: ${subject} is inside ${percent(share)}, one fixed cell inside ${percent(fixed)}`;
}

/** @param {number} share */
function percent(share) {
  return `${Math.round(100 * share)} %`;
}
