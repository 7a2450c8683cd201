// The API key, where the service asks for one: asked of the person, kept for this tab alone.

import { byId } from "./element.js";

const NAME = "triage-key";
const SENDABLE = /^[\x21-\x7e]+$/; // another character cannot stand in a header
let asking = null;

export function key() {
  return sessionStorage.getItem(NAME);
}

export function authorization() {
  return key() ? { Authorization: `Bearer ${key()}` } : {};
}

/** Ask once however many requests were refused; `rejected` is the key that they were sent with. */
export async function renew(rejected) {
  if (key() !== rejected) return;
  asking ??= ask(rejected).finally(() => (asking = null));
  await asking;
}

function ask(rejected) {
  const [dialog, field] = [byId("key-dialog"), byId("key")];
  if (rejected) byId("key-reason").textContent = "The service does not know this key, or it was revoked.";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", function closed() {
      const given = field.value.trim();
      if (!SENDABLE.test(given)) {
        if (given) byId("key-reason").textContent = "A key has only letters, digits and signs of ASCII, and no space.";
        return dialog.showModal(); // nothing works without one
      }
      dialog.removeEventListener("close", closed);
      sessionStorage.setItem(NAME, given);
      field.value = "";
      resolve();
    });
  });
}
