// The corners of the picture: whose radiograph it is, when it was made, its priority and what warns against it. They stay
// in sight however the panel is scrolled.

import { age, studyTime } from "./age.js";
import { byId, element } from "./element.js";
import { PRIORITIES } from "./findings.js";
import { personName } from "./person_name.js";
import { reasoned } from "./reason.js";
import { warnings } from "./warnings.js";

/** @import { Entry, Prediction } from "./api.js" */

/**
 * @param {Prediction} prediction
 * @param {Entry} entry
 */
export function showCorners({ priority, reason, findings, flags }, { patient, study }) {
  const about = [patient.id, patient.sex, age(patient, study.date)].filter(Boolean).join(" · ");
  byId("corner-patient").replaceChildren(...lines([personName(patient.name), about, studyTime(study)]));
  const positive = findings.filter((finding) => finding.positive).map((finding) => finding.label);
  const verdict = lines([`${PRIORITIES[priority]}: ${reasoned(reason, positive)}`]);
  const cautions = warnings(flags).map((text) => element("span", { class: "warning" }, text));
  byId("corner-verdict").replaceChildren(...verdict, ...cautions);
  byId("corner-verdict").dataset.priority = priority;
}

/** @param {string[]} texts */
function lines(texts) {
  return texts.filter(Boolean).map((text) => element("span", {}, text));
}
