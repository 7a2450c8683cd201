// Name or initials of the reader: entered once, kept in this tab, sent with each read mark and acknowledgement.

import { byId } from "./element.js";

const STORED_AS = "triage-reader";
const ASKED_AS = "triage-reader-asked";

export function reader() {
  return field().value.trim();
}

export function keepReader() {
  field().value = sessionStorage.getItem(STORED_AS) ?? "";
  field().addEventListener("input", () => sessionStorage.setItem(STORED_AS, reader()));
}

/**
 * Return the reader; somebody who has entered no name is asked for it, once in each tab.
 * @returns {Promise<string | null>} empty if there is to be none; null if the question was cancelled
 */
export async function askedReader() {
  if (reader() || sessionStorage.getItem(ASKED_AS)) return reader();
  const [dialog, answer] = [byId("reader-dialog", HTMLDialogElement), byId("reader-answer", HTMLInputElement)];
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (!dialog.returnValue) return null;
  field().value = answer.value;
  sessionStorage.setItem(STORED_AS, reader());
  sessionStorage.setItem(ASKED_AS, "yes");
  return reader();
}

function field() {
  return byId("reader", HTMLInputElement);
}
