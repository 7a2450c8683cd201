// The panel beside the image: patient, findings as text and bars, flags, model, downloads.

import { age, studyTime } from "./age.js";
import { save } from "./api.js";
import { showCorners } from "./corners.js";
import { byId, element } from "./element.js";
import { examined, label, number, operatingPoint, ordered, PRIORITIES, verdict } from "./findings.js";
import { personName } from "./person_name.js";
import { words } from "./problem.js";
import { reasoned } from "./reason.js";
import { acknowledgedBy, isAlerting, readBy } from "./row.js";
import { say } from "./toast.js";
import { fitBox } from "./view.js";
import { flagItems } from "./warnings.js";

/**
 * @import { Entry, Finding, Prediction } from "./api.js"
 * @import { Display } from "./display.js"
 *
 * @typedef {(label: string) => void} ChooseMap
 */

const NOT_OFFERED = new Set(["self", "image", "overlay", "heat_map", "crop", "pixels", "maps", "acknowledgement", "measurements", "notification"]); // pictures, and what is no file
/** @type {Record<string, string>} */
const OBJECTS = { sr: "Structured report (SR)", fhir: "FHIR bundle", hl7: "HL7 message" };
const HINT = "Hover over or focus a finding to see its operating point; click it to show its map.";

/**
 * @param {Prediction} prediction
 * @param {Entry} entry
 * @param {ChooseMap} chooseMap  shows the attention map of a finding
 */
export function showPanel(prediction, entry, chooseMap) {
  const { patient, study } = entry;
  byId("patient").textContent = personName(patient.name);
  byId("person").textContent = [patient.id, patient.sex, age(patient, study.date)].filter(Boolean).join(" · ");
  const description = study.description || entry.series_description;
  const accession = entry.accession_number && `Accession ${entry.accession_number}`;
  byId("study").textContent = [studyTime(study), accession, description].filter(Boolean).join(" · ");
  byId("priority").textContent = PRIORITIES[prediction.priority];
  byId("priority").className = `priority ${prediction.priority.toLowerCase()}`;
  const positive = prediction.findings.filter((finding) => finding.positive).map((finding) => finding.label);
  byId("sentence").textContent = reasoned(prediction.reason, positive);
  const findings = ordered(prediction.findings);
  const made = findings.filter((finding) => prediction.reason.includes(finding.label));
  const rest = findings.filter((finding) => !made.includes(finding));
  byId("bars").replaceChildren(...[...made, ...rest].map((finding) => bar(finding, chooseMap)));
  for (const part of document.querySelectorAll("[data-second-look]")) {
    if (part instanceof HTMLElement) part.hidden = !prediction.second_look;
  }
  byId("bars").classList.toggle("one-look", !prediction.second_look);
  byId("crop-caption").textContent = examined(prediction.second_look);
  byId("detail").textContent = HINT;
  byId("flags").replaceChildren(...flagItems(prediction.flags));
  const { name, version, sha256 } = prediction.model;
  byId("model").textContent = `Model ${name} ${version} (${sha256.slice(0, 12)})`;
  showDownloads(prediction);
  showCorners(prediction, entry);
  for (const part of [byId("panel"), byId("panel-rest")]) part.scrollTop = 0;
}

/** @param {Entry} entry */
export function showMarks(entry) {
  byId("acknowledgement").textContent = acknowledgedBy(entry);
  const button = byId("acknowledge");
  const alerting = isAlerting(entry);
  if (!alerting && button === document.activeElement) byId("stage").focus({ preventScroll: true });
  button.hidden = !alerting;
  byId("acknowledgement").classList.toggle("alerting", alerting);
  byId("read").textContent = entry.read ? readBy(entry.read) : "Not read";
  document.querySelector('[data-key="m"]')?.setAttribute("aria-pressed", String(entry.read !== null));
}

/**
 * Mark the finding whose map is shown.
 * @param {string | null} name  label, "" for the overall map, or null for none
 */
export function showChosen(name) {
  for (const button of byId("bars").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.label === name));
  }
}

/**
 * @param {Finding} finding
 * @param {ChooseMap} chooseMap
 */
function bar(finding, chooseMap) {
  if (finding.probability === null) return untrained(finding);
  const fill = element("span", { class: "fill" });
  fill.style.width = `${100 * finding.probability}%`;
  const mark = element("span", { class: "mark-line" });
  if (finding.threshold === null) mark.hidden = true;
  else mark.style.left = `${100 * finding.threshold}%`;
  const point = operatingPoint(finding);
  const scores = [finding.global, finding.local].map((score) => element("span", { class: "score" }, number(score)));
  const button = element(
    "button",
    { type: "button", "data-label": finding.label, "aria-pressed": "false", title: point },
    element("span", { class: "label" }, label(finding.label)),
    element("span", { class: "unseen" }, `, ${verdict(finding)}, probability ${number(finding.probability)}. ${point}. `),
    element("span", { class: "track", "aria-hidden": "true" }, fill, mark),
    element("span", { class: "probability", "aria-hidden": "true" }, number(finding.probability)),
    element("span", { class: "scores", "aria-hidden": "true" }, ...scores),
  );
  button.addEventListener("click", () => chooseMap(finding.label));
  for (const event of ["mouseenter", "focus"]) {
    button.addEventListener(event, () => (byId("detail").textContent = `${label(finding.label)}. ${point}.`));
  }
  const positive = finding.positive ? "positive" : "negative";
  return element("li", { class: finding.positive === null ? "unknown" : positive }, button);
}

/**
 * A line for a label that training never saw: no number, and no map to choose.
 * @param {Finding} finding
 */
function untrained(finding) {
  const reason = element("span", { class: "quiet" }, "not evaluated: not in the training data");
  return element("li", { class: "untrained" }, element("span", { class: "label" }, label(finding.label)), reason);
}

/** @param {Prediction} prediction */
function showDownloads(prediction) {
  const links = Object.entries(prediction.links).filter(([name]) => !NOT_OFFERED.has(name));
  byId("downloads").replaceChildren(...links.map(([name, path]) => {
    const button = element("button", { type: "button" }, `Save ${OBJECTS[name] ?? label(name)}`);
    const file = fileName(prediction.accession_number, path.split("?")[0].split("/").pop() || name);
    const relative = path.replace(/^\/v1\//, "");
    button.addEventListener("click", () => save(file, relative).catch((error) => say(words(error), "problem")));
    return element("li", {}, button);
  }));
}

/**
 * Name a file after its radiograph, so that those of several can be told apart in one folder.
 * @param {string} accession
 * @param {string} name
 */
function fileName(accession, name) {
  const prefix = accession.replace(/[^\p{L}\p{N}.-]+/gu, "_").replace(/^[._]+/, "");
  return prefix ? `${prefix}_${name}` : name;
}

/**
 * Draw the region in the attention box, in the window that the network received.
 * @param {Display} display
 */
export function showCrop(display) {
  const canvas = byId("crop", HTMLCanvasElement);
  display.raster.draw(canvas, fitBox(display.raster, display.prediction.box, canvas), display.originalGreys(), false);
}
