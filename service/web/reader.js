// Who reads: typed once, kept for this tab, sent with a read mark.

import { byId } from "./element.js";

const NAME = "triage-reader";

export function reader() {
  return byId("reader").value.trim();
}

export function keepReader() {
  byId("reader").value = sessionStorage.getItem(NAME) ?? "";
  byId("reader").addEventListener("input", () => sessionStorage.setItem(NAME, reader()));
}
