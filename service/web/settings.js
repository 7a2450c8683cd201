// The fields below the findings: colours and opacity of the attention map, its finding, the window.

import { byId, targetOf } from "./element.js";

/** @import { Tools } from "./tools.js" */

/**
 * Apply changes of the fields to the display.
 * @param {Tools} tools
 */
export function listenToSettings(tools) {
  const { appearance } = tools;
  const [preset, map, colours] = ["preset", "map", "colours"].map((id) => byId(id, HTMLSelectElement));
  const opacity = byId("opacity", HTMLInputElement);
  onInput(tools, preset, () => tools.choosePreset(Number(preset.value)));
  onInput(tools, map, () => tools.showMap(map.value)); // its first option, for no map, cannot be chosen
  onInput(tools, colours, () => {
    appearance.colormap = colours.value;
    tools.showAppearance();
  });
  onInput(tools, opacity, () => {
    appearance.opacity = opacity.valueAsNumber / 100;
    tools.showAppearance();
  });
  const [level, width] = ["level", "width"].map((id) => byId(id, HTMLInputElement));
  level.addEventListener("change", () => {
    if (!tools.display) return;
    const center = level.valueAsNumber;
    if (Number.isFinite(center)) tools.setWindow({ ...tools.display.window, center });
    else tools.showWindow();
  });
  width.addEventListener("change", () => {
    if (!tools.display) return;
    const value = width.valueAsNumber;
    if (value > 0 && Number.isFinite(value)) tools.setWindow({ ...tools.display.window, width: value });
    else tools.showWindow();
  });
  returnFocusAfterPointer();
}

/**
 * @param {Tools} tools
 * @param {HTMLElement} field
 * @param {() => void} act
 */
function onInput(tools, field, act) {
  field.addEventListener("input", () => {
    if (tools.display) act();
  });
}

/** After a choice by pointer, move the focus to the image: a menu with the focus would take single keys as its own. */
function returnFocusAfterPointer() {
  let byPointer = false;
  const panel = byId("panel");
  panel.addEventListener("pointerdown", () => (byPointer = true));
  panel.addEventListener("keydown", () => (byPointer = false));
  panel.addEventListener("input", (event) => {
    if (byPointer && targetOf(event).matches("select")) byId("stage").focus({ preventScroll: true });
  });
}
