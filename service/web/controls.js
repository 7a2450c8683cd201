// What the viewer's buttons and fields say of its state.

import { drawBar } from "./colormap.js";
import { byId, element } from "./element.js";
import { label } from "./findings.js";

export function press(key, on) {
  document.querySelector(`#viewer .tools [data-key="${key}"]`).setAttribute("aria-pressed", String(on));
}

/** What there is to choose from of one radiograph. */
export function offer(display) {
  const presets = display.presets.map((one, index) => element("option", { value: index }, capitalised(one.name)));
  byId("preset").replaceChildren(...presets, element("option", { value: -1, hidden: true }, "By hand"));
  const maps = Object.keys(display.maps).filter(Boolean);
  const findings = maps.map((name) => element("option", { value: name }, label(name)));
  byId("map").replaceChildren(element("option", { value: "" }, "Overall"), ...findings);
}

export function showWindow({ window, preset, inverted }) {
  byId("preset").value = preset;
  byId("level").value = rounded(window.center);
  byId("width").value = rounded(window.width);
  press("i", inverted);
}

export function showLegend({ heat, colormap }) {
  byId("legend").hidden = !heat;
  drawBar(byId("legend-bar"), colormap);
}

/** In the corner of the picture: window, zoom, and the value under the pointer. */
export function showState({ window }, view, hover) {
  const zoom = Math.round(100 * view.scaleX);
  byId("state").textContent = `L ${rounded(window.center)}  W ${rounded(window.width)}  ${zoom} %${hover}`;
}

export function rounded(value) {
  return Math.abs(value) < 10 ? Number(value.toFixed(2)) : Math.round(value);
}

function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
