// The findings of a radiograph as plain text, to paste into a report or to print.

import { age, studyTime } from "./age.js";
import { flag, label, number, ordered, PRIORITIES } from "./findings.js";
import { personName } from "./person_name.js";
import { TRIAGE_ONLY } from "./presentation.js";
import { reasoned } from "./reason.js";

/** @import { Entry, Finding, Prediction } from "./api.js" */

export const NOTICE = "Research use only. Not a medical device.";

/**
 * @param {Prediction} prediction
 * @param {Entry} entry
 */
export function summary({ priority, reason, findings, flags, model }, { patient, study, accession_number: accession }) {
  const positive = findings.filter((finding) => finding.positive).map((finding) => finding.label);
  const evaluated = ordered(findings.filter((finding) => finding.probability !== null));
  return [
    `${personName(patient.name)}, ${[patient.id, patient.sex, age(patient, study.date)].filter(Boolean).join(", ")}`,
    `Chest radiograph, ${[studyTime(study), accession && `accession ${accession}`].filter(Boolean).join(", ")}`,
    `${PRIORITIES[priority]}: ${reasoned(reason, positive)}`,
    ...flags.map((name) => `Warning: ${flag(name)}`),
    "",
    ...(TRIAGE_ONLY ? [] : [...evaluated.map(line), ""]),
    `Model ${model.name} ${model.version} (${model.sha256.slice(0, 12)}). ${NOTICE}`,
  ].join("\n");
}

/** @param {Finding} finding */
function line({ label: name, probability, threshold, positive }) {
  const point = threshold === null ? "no operating point" : `operating point ${number(threshold)}`;
  return `${label(name)}: ${number(probability)} (${point})${positive ? ", positive" : ""}`;
}
