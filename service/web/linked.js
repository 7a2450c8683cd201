// A prior beside the open radiograph: at the same scale and place, in the same window. Pure functions.

import { toStage } from "./view.js";

/**
 * @import { Window } from "./api.js"
 * @import { Display, Picture } from "./display.js"
 * @import { Size, View } from "./view.js"
 *
 * @typedef {object} Beside
 * @property {Picture} picture
 * @property {Size} extent  device pixels that it takes where a column of the current image takes one
 * @property {(view: View) => View} view  where to draw it when the current one has a view
 */

/**
 * Return what to draw of a prior.
 * @param {Display} current
 * @param {Display} prior
 * @returns {Beside}
 */
export function linked(current, prior) {
  prior.window = linkedWindow(current, prior.presets);
  prior.inverted = current.inverted;
  const { raster } = prior;
  const scale = relativeScale(current, prior);
  const extent = { width: raster.width * scale, height: raster.height * raster.aspect * scale };
  /** @param {View} view */
  const placed = (view) => {
    const { x, y } = toStage(view, { x: current.raster.width / 2, y: current.raster.height / 2 });
    const [width, height] = [extent.width * view.scaleX, extent.height * view.scaleX];
    const [scaleX, scaleY] = [width / raster.width, height / raster.height];
    return Object.freeze({ scaleX, scaleY, x: Math.round(x - width / 2), y: Math.round(y - height / 2) });
  };
  return { picture: prior.picture(), extent, view: placed };
}

/**
 * Whether both files state how large a pixel is, in the same plane: then both are shown at the same scale.
 * @param {Display} current
 * @param {Display} prior
 */
export function hasCommonScale({ header: one }, { header: other }) {
  return Boolean(one.spacing && other.spacing && one.spacing_from === other.spacing_from);
}

/**
 * Return the width of a prior's pixel on the screen over that of the current image: equal in millimetres or, where these
 * are not known of both, so that both images are equally high.
 * @param {Display} current
 * @param {Display} prior
 */
function relativeScale(current, prior) {
  const [one, other] = [current.header.spacing, prior.header.spacing];
  if (one && other && hasCommonScale(current, prior)) return other[1] / one[1];
  return (current.raster.height * current.raster.aspect) / (prior.raster.height * prior.raster.aspect);
}

/**
 * Return the window of the prior: the preset of the same name or, for a window set by hand, the one that differs from the
 * prior's first preset as that window differs from its own image's first one. Files of other devices have other values.
 * @param {Pick<Display, "window" | "preset" | "presets">} current
 * @param {Window[]} presets  of the prior
 * @returns {Window}
 */
export function linkedWindow({ window, preset, presets }, [first, ...others]) {
  if (preset === 0) return first;
  const named = preset === null ? undefined : [first, ...others].find(({ name }) => name === window.name);
  if (named) return named;
  const [base] = presets;
  const share = first.width / base.width;
  return { ...first, center: first.center + (window.center - base.center) * share, width: window.width * share };
}
