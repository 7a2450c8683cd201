// The viewer's buttons and fields: show the state of the display in them.

import { byId, element } from "./element.js";
import { label } from "./findings.js";

/**
 * @import { Display } from "./display.js"
 * @import { View } from "./view.js"
 */

const CUSTOM = -1; // value of the preset menu when the window was set by hand
const NONE = "none"; // value of the map menu while no map is chosen

/**
 * @param {string} key  key of the tool's button
 * @param {boolean} on
 */
export function showPressed(key, on) {
  document.querySelector(`#viewer [data-key="${key}"]`)?.setAttribute("aria-pressed", String(on));
}

/**
 * Fill the menus of window presets and attention maps.
 * @param {Display} display
 */
export function fillMenus(display) {
  const presets = display.presets.map((preset, index) => element("option", { value: index }, capitalised(preset.name)));
  byId("preset").replaceChildren(...presets, element("option", { value: CUSTOM, hidden: true }, "Custom"));
  const labels = Object.keys(display.maps).filter(Boolean);
  const findings = labels.map((name) => element("option", { value: name }, label(name)));
  const none = element("option", { value: NONE, hidden: true }, "None positive");
  byId("map").replaceChildren(none, ...findings, element("option", { value: "" }, "Overall map"));
}

/** @param {Display} display */
export function showMap({ map }) {
  byId("map", HTMLSelectElement).value = map ?? NONE;
}

/** @param {Display} display */
export function showWindow({ window, preset, inverted }) {
  byId("preset", HTMLSelectElement).value = String(preset ?? CUSTOM);
  byId("level", HTMLInputElement).value = String(rounded(window.center));
  byId("width", HTMLInputElement).value = String(rounded(window.width));
  showPressed("i", inverted);
}

/**
 * Show window, zoom and the value under the pointer in the corner of the image.
 * @param {Display} display
 * @param {View} view
 * @param {string} pointer
 */
export function showState({ window }, view, pointer) {
  const zoom = Math.round(100 * view.scaleX);
  const curve = window.function === "SIGMOID" ? " sigmoid" : "";
  byId("state").textContent = `L ${rounded(window.center)}  W ${rounded(window.width)}${curve}  ${zoom} %${pointer}`;
}

/** @param {number} value */
export function rounded(value) {
  return Math.abs(value) < 10 ? Number(value.toFixed(2)) : Math.round(value);
}

/** @param {string} text */
function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
