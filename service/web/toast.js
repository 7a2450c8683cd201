// A one-line message at the foot of the page. Screen readers announce it, and it disappears after a few seconds.

import { byId } from "./element.js";

const SECONDS = 6;
let timer = 0;

/**
 * @param {string} text
 * @param {"news" | "problem"} kind
 */
export function say(text, kind = "news") {
  const toast = byId("toast");
  toast.textContent = text;
  toast.dataset.kind = kind;
  clearTimeout(timer);
  timer = setTimeout(() => (toast.textContent = ""), SECONDS * 1000);
}
