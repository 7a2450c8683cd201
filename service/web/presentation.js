// What the page may show of a prediction (TRIAGE_TRIAGE__PRESENTATION): all of it, or priority and findings without any
// place in the image. The service then sends neither maps nor a box; presentation.css hides what would show them.

/** @import { Maps, PixelHeader, Prediction } from "./api.js" */

export const TRIAGE_ONLY = document.body.dataset.presentation === "triage_only";

/** Keys that act on what is hidden */
export const HIDDEN_KEYS = new Set(TRIAGE_ONLY ? ["H", "B", "O", "S", "G"] : []);

/** @type {Maps} */
export const NO_MAPS = { content: [0, 0, 1, 1], heat_map: [[0, 0], [0, 0]], class_maps: {}, references: {} };

/**
 * Return a prediction with the whole image in place of a box that was not sent.
 * @param {Prediction} prediction
 * @param {PixelHeader} header
 * @returns {Prediction}
 */
export function boxed(prediction, header) {
  return TRIAGE_ONLY ? { ...prediction, box: [0, 0, header.columns, header.rows] } : prediction;
}
