// Single keys and what they do: in the list, in the viewer, everywhere. They can be switched off (WCAG 2.1.4).

import { byId, element } from "./element.js";

const NAME = "triage-keys";
export const MEANINGS = {
  Anywhere: [["?", "All keys"], ["U", "Add DICOM files"], ["Esc", "Back to the worklist"]],
  Worklist: [
    ["J", "Next row"], ["K", "Previous row"], ["Enter", "Open"], ["M", "Mark read or unread"], ["/", "Search"],
    ["N", "Next page"], ["P", "Previous page"],
  ],
  Viewer: [
    ["J", "Next radiograph"], ["K", "Previous radiograph"], ["M", "Mark read or unread"], ["H", "Attention map"],
    ["B", "Attention box"], ["O", "Original and overlay side by side"], ["S", "Scores of each branch"],
    ["W", "Next window preset"], ["D", "Drag changes the window"], ["P", "Drag pans"], ["L", "Drag measures"],
    ["F", "Fit"], ["1", "One to one"], ["I", "Invert"], ["R", "Reset"], ["Arrows", "Pan"], ["+ −", "Zoom"],
  ],
};
const TYPED = "input:not([type=range]):not([type=checkbox]), select, textarea";

const HELD = new Set(["j", "k", "+", "=", "-", "arrowleft", "arrowright", "arrowup", "arrowdown"]); // act while held

/** @param actions () => key -> function, of what is shown now; keys are lower case */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const typing = event.target.matches(TYPED);
    if (typing && event.key === "Escape") {
      event.preventDefault(); // else the browser empties a search
      return event.target.blur();
    }
    if (event.target.matches("[type=range]") && event.key.startsWith("Arrow")) return; // they move the slider
    if (event.repeat && !HELD.has(event.key.toLowerCase())) return;
    if (typing || (event.key.length === 1 && !areOn())) return;
    const action = actions()[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action && !(event.key === "Enter" && event.target.closest("button, a"))) {
      event.preventDefault();
      action(event);
    }
  });
}

export function areOn() {
  return sessionStorage.getItem(NAME) !== "off";
}

export function showHelp() {
  byId("help").showModal();
}

/** The dialog that lists every key. */
export function prepareHelp() {
  const lists = Object.entries(MEANINGS).map(([place, keys]) => {
    const rows = keys.map(([key, meaning]) =>
      element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, meaning)));
    return element("section", {}, element("h3", {}, place), element("dl", {}, ...rows));
  });
  byId("key-lists").replaceChildren(...lists);
  byId("help-button").addEventListener("click", showHelp);
  byId("keys-on").checked = areOn();
  byId("keys-on").addEventListener("change", (event) => {
    sessionStorage.setItem(NAME, event.target.checked ? "on" : "off");
  });
}
