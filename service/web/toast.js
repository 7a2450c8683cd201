// One line at the foot of the page for what happened, read out by screen readers; then it goes.

import { byId } from "./element.js";

const SECONDS = 6;
let timer = 0;

export function say(text, kind = "news") {
  const toast = byId("toast");
  toast.textContent = text;
  toast.dataset.kind = kind;
  clearTimeout(timer);
  timer = setTimeout(() => (toast.textContent = ""), SECONDS * 1000);
}
