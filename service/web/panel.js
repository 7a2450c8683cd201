// Beside the picture: who it is, the findings as text and bars, flags, model, files to save.

import { save } from "./api.js";
import { age, date } from "./age.js";
import { byId, element } from "./element.js";
import { flag, label, operatingPoint, ordered, PRIORITIES, sentence, share, verdict } from "./findings.js";
import { personName } from "./person_name.js";
import { words } from "./problem.js";
import { readBy } from "./row.js";
import { say } from "./toast.js";

const PICTURES = new Set(["self", "image", "overlay", "heat_map", "crop", "pixels", "maps"]);
const HINT = "Hover or focus a finding for its operating point; press it for its own map.";

/** @param choose (label) => shows a finding's own map */
export function showPanel(prediction, entry, choose) {
  const { patient, study } = entry;
  byId("patient").textContent = personName(patient.name);
  byId("person").textContent = [patient.id, patient.sex, age(patient, study.date)].filter(Boolean).join(" · ");
  const described = study.description || entry.series_description;
  const accession = entry.accession_number && `Accession ${entry.accession_number}`;
  byId("study").textContent = [accession, date(study.date), described].filter(Boolean).join(" · ");
  byId("priority").textContent = PRIORITIES[prediction.priority];
  byId("priority").className = `priority ${prediction.priority.toLowerCase()}`;
  byId("sentence").textContent = sentence(prediction.findings.filter((one) => one.positive).map((one) => one.label));
  byId("bars").replaceChildren(...ordered(prediction.findings).map((finding) => bar(finding, choose)));
  byId("detail").textContent = HINT;
  byId("flags").replaceChildren(...prediction.flags.map((name) => element("li", {}, flag(name))));
  const { name, version, sha256 } = prediction.model;
  byId("model").textContent = `Model ${name} ${version} (${sha256.slice(0, 12)})`;
  showDownloads(prediction);
}

export function showRead(entry) {
  byId("read").textContent = entry.read ? readBy(entry.read) : "Not read";
  const button = document.querySelector('[data-key="m"]');
  button.setAttribute("aria-pressed", String(entry.read !== null));
}

/** Which finding's map is drawn; "" for the whole. */
export function showChosen(name) {
  for (const button of byId("bars").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.label === name));
  }
}

function bar(finding, choose) {
  const fill = element("span", { class: "fill" });
  fill.style.width = `${100 * finding.probability}%`;
  const mark = element("span", { class: "mark-line" });
  if (finding.threshold === null) mark.hidden = true;
  else mark.style.left = `${100 * finding.threshold}%`;
  const told = operatingPoint(finding);
  const branches = ["probability", "global", "local"];
  const scores = branches.map((name) => element("span", { class: "score" }, share(finding[name])));
  const button = element(
    "button",
    { type: "button", "data-label": finding.label, "aria-pressed": "false", title: told },
    element("span", { class: "label" }, label(finding.label)),
    element("span", { class: "unseen" }, `, ${verdict(finding)}, probability ${share(finding.probability)}. ${told}. `),
    element("span", { class: "track", "aria-hidden": "true" }, fill, mark),
    element("span", { class: "scores", "aria-hidden": "true" }, ...scores),
  );
  button.addEventListener("click", () => choose(finding.label));
  for (const event of ["mouseenter", "focus"]) {
    button.addEventListener(event, () => (byId("detail").textContent = `${label(finding.label)}. ${told}.`));
  }
  return element("li", { class: { true: "positive", false: "negative", null: "unknown" }[finding.positive] }, button);
}

function showDownloads(prediction) {
  const others = Object.entries(prediction.links).filter(([name]) => !PICTURES.has(name));
  byId("downloads").replaceChildren(...others.map(([name, path]) => {
    const button = element("button", { type: "button" }, `Save ${label(name)}`);
    const file = path.split("?")[0].split("/").pop() || name;
    const relative = path.replace(/^\/v1\//, "");
    button.addEventListener("click", () => save(file, relative).catch((error) => say(words(error), "problem")));
    return element("li", {}, button);
  }));
}
