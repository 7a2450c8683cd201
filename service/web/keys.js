// Keyboard shortcuts of the list, of the viewer and of both. Single-key shortcuts can be switched off (WCAG 2.1.4).

import { byId, element, targetOf } from "./element.js";
import { HIDDEN_KEYS } from "./presentation.js";

/** @typedef {Record<string, ((event?: KeyboardEvent) => void) | undefined>} Actions  by key, letters in lower case */

const STORED_AS = "triage-keys";
/** @type {Record<string, [string, string][]>} */
export const SHORTCUTS = {
  Anywhere: [["?", "Keyboard shortcuts"], ["U", "Add DICOM files"], ["Esc", "Back to the worklist"]],
  Worklist: [
    ["J", "Next row"], ["K", "Previous row"], ["Enter", "Open"], ["M", "Mark read or unread"],
    ["A", "Acknowledge"], ["/", "Search"],
    ["N", "Next page"], ["P", "Previous page"],
  ],
  Viewer: [
    ["J", "Next radiograph"], ["K", "Previous radiograph"], ["M", "Mark read and go on, or mark unread"],
    ["A", "Acknowledge"], ["H", "Map, while held or until pressed again"], ["G", "Cells of the map"],
    ["B", "Attention box"], ["O", "Original and overlay side by side"], ["S", "Scores of each branch"],
    ["P", "Prior beside it"],
    ["W", "Next window preset"], ["D", "Drag to change the window"], ["V", "Drag to pan"], ["L", "Measure a length"],
    ["N", "Measure an angle"], ["C", "Measure the cardiothoracic ratio"],
    ["F", "Fit"], ["1", "One to one"], ["T", "Turn by 90°"], ["X", "Mirror"], ["I", "Invert"], ["R", "Reset"],
    ["Arrows", "Pan"], ["⇧ Arrows", "Window"], ["+ −", "Zoom"],
  ],
};
const TEXT_FIELDS = "input:not([type=range]):not([type=checkbox]), select, textarea";
const REPEATING = new Set(["j", "k", "+", "=", "-", "arrowleft", "arrowright", "arrowup", "arrowdown"]);

/** @param {() => Actions} actions  returns the actions of the view that is shown */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const target = targetOf(event);
    const typing = target.matches(TEXT_FIELDS);
    if (typing && event.key === "Escape") {
      event.preventDefault(); // otherwise the browser empties a search field
      if (target instanceof HTMLElement) target.blur();
      return;
    }
    if (target.matches("[type=range]") && event.key.startsWith("Arrow")) return; // arrow keys move the slider
    if (event.repeat && !REPEATING.has(event.key.toLowerCase())) return;
    if (typing || (event.key.length === 1 && !areOn()) || HIDDEN_KEYS.has(event.key.toUpperCase())) return;
    const action = actions()[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action && !(event.key === "Enter" && target.closest("button, a"))) {
      event.preventDefault();
      action(event);
    }
  });
}

function areOn() {
  return sessionStorage.getItem(STORED_AS) !== "off";
}

export function showHelp() {
  byId("help", HTMLDialogElement).showModal();
}

/** Fill the dialog that lists all shortcuts. */
export function prepareHelp() {
  const lists = Object.entries(SHORTCUTS).map(([place, shortcuts]) => {
    const rows = shortcuts.filter(([key]) => !HIDDEN_KEYS.has(key)).map(([key, meaning]) =>
      element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, meaning)));
    return element("section", {}, element("h3", {}, place), element("dl", {}, ...rows));
  });
  byId("key-lists").replaceChildren(...lists);
  byId("help-button").addEventListener("click", showHelp);
  const singleKeys = byId("keys-on", HTMLInputElement);
  singleKeys.checked = areOn();
  singleKeys.addEventListener("change", () => sessionStorage.setItem(STORED_AS, singleKeys.checked ? "on" : "off"));
}
