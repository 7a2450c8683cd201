// What a reader takes along: the findings as text, the picture as PNG, both on paper.

import { studyTime } from "./age.js";
import { offer } from "./download.js";
import { byId, element } from "./element.js";
import { personName } from "./person_name.js";
import { words } from "./problem.js";
import { snapshot } from "./snapshot.js";
import { NOTICE, summary } from "./summary.js";
import { say } from "./toast.js";

/**
 * @import { Entry, Prediction } from "./api.js"
 * @import { Pane } from "./pane.js"
 *
 * @typedef {{ prediction: Prediction, entry: Entry, panes: Pane[] }} Shown
 */

/** @param {() => Shown | null} shown  the radiograph on the screen */
export function listenToExports(shown) {
  const actions = { "copy-findings": copy, "save-picture": savePicture, print };
  for (const [id, act] of Object.entries(actions)) {
    byId(id).addEventListener("click", () => {
      const current = shown();
      if (current) act(current).catch((/** @type {unknown} */ error) => say(words(error), "problem"));
    });
  }
  addEventListener("afterprint", () => byId("printout").replaceChildren());
}

/** @param {Shown} shown */
async function copy({ prediction, entry }) {
  if (!navigator.clipboard) throw new Error("The browser allows copying only over HTTPS or on this computer itself");
  await navigator.clipboard.writeText(summary(prediction, entry));
  say("Findings copied");
}

/** @param {Shown} shown */
async function savePicture({ entry, panes }) {
  const name = (entry.accession_number || entry.id).replace(/[^\w.-]+/g, "-");
  offer(`radiograph-${name}.png`, await snapshot(panes, captions(entry)));
}

/** @param {Shown} shown */
async function print({ prediction, entry, panes }) {
  const address = URL.createObjectURL(await snapshot(panes, captions(entry)));
  const picture = new Image();
  picture.src = address;
  picture.alt = "The radiograph";
  await picture.decode();
  byId("printout").replaceChildren(picture, element("pre", {}, summary(prediction, entry)));
  window.print();
  URL.revokeObjectURL(address);
}

/** @param {Entry} entry */
function captions({ patient, study }) {
  const about = [personName(patient.name), patient.id, studyTime(study)].filter(Boolean).join(" · ");
  const map = ["legend-text", "legend-measured"].map((id) => byId(id).textContent).filter(Boolean).join(" · ");
  const verdict = [...byId("corner-verdict").children].map((part) => part.textContent).join(" · ");
  const isBesidePrior = byId("stage").classList.contains("with-prior");
  return [isBesidePrior ? `Left, current: ${about}` : about, verdict, map, NOTICE];
}
