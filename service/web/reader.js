// Name or initials of the reader: entered once, kept in this tab, sent with each read mark.

import { byId } from "./element.js";

const STORED_AS = "triage-reader";

export function reader() {
  return field().value.trim();
}

export function keepReader() {
  field().value = sessionStorage.getItem(STORED_AS) ?? "";
  field().addEventListener("input", () => sessionStorage.setItem(STORED_AS, reader()));
}

function field() {
  return byId("reader", HTMLInputElement);
}
