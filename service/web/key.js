// The API key. The user is asked for it if the service requires one; it is kept in this tab only.

import { byId } from "./element.js";

const STORED_AS = "triage-key";
const VALID = /^[\x21-\x7e]+$/; // a header can hold no other characters
/** @type {Promise<void> | null} */
let asking = null;

export function key() {
  return sessionStorage.getItem(STORED_AS);
}

/** @returns {Record<string, string>} headers */
export function authorization() {
  return key() ? { Authorization: `Bearer ${key()}` } : {};
}

/**
 * Ask for a new key, once for all requests that were rejected with the old one.
 * @param {string | null} rejected
 */
export async function renew(rejected) {
  if (key() !== rejected) return;
  asking ??= ask(rejected).finally(() => (asking = null));
  await asking;
}

/**
 * @param {string | null} rejected
 * @returns {Promise<void>}
 */
function ask(rejected) {
  const [dialog, field] = [byId("key-dialog", HTMLDialogElement), byId("key", HTMLInputElement)];
  if (rejected) byId("key-reason").textContent = "This key is unknown or has been revoked.";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", function closed() {
      const entered = field.value.trim();
      if (VALID.test(entered)) {
        dialog.removeEventListener("close", closed);
        sessionStorage.setItem(STORED_AS, entered);
        field.value = "";
        resolve();
      } else {
        if (entered) byId("key-reason").textContent = "A key consists of ASCII letters, digits and punctuation, without spaces.";
        dialog.showModal(); // the page does nothing without a key
      }
    });
  });
}
