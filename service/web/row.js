// One row of the worklist.

import { age, date, duration } from "./age.js";
import { element } from "./element.js";
import { flag, PRIORITIES, sentence } from "./findings.js";
import { personName } from "./person_name.js";

/** @import { Entry, Priority, ReadMark } from "./api.js" */

/** @param {Entry} entry */
export function row(entry) {
  const { patient, study, model } = entry;
  const description = study.description || entry.series_description;
  const dated = [date(study.date), description].filter(Boolean).join(" · ");
  const name = element("a", { href: `#/${entry.id}`, class: "name" }, personName(patient.name));
  const cells = [
    element("td", {}, priority(entry.priority)),
    element("th", { scope: "row" }, name, secondLine(patient.id)),
    element("td", {}, [patient.sex, age(patient, study.date)].filter(Boolean).join(", ") || "–"),
    element("td", {}, entry.accession_number || "–", secondLine(dated)),
    element("td", { class: entry.positive.length ? "positive" : "quiet" }, sentence(entry.positive)),
    element("td", { class: "number waiting" }, waitingTime(entry, Date.now())),
    element("td", { class: "quiet" }, entry.flags.map(flag).join("; ")),
    element("td", { class: "quiet" }, model.version),
    element("td", {}, readButton(entry)),
  ];
  const tr = document.createElement("tr");
  tr.dataset.id = entry.id;
  tr.classList.toggle("read", Boolean(entry.read));
  tr.append(...cells);
  return tr;
}

/** @param {Priority} name */
function priority(name) {
  return element("span", { class: `priority ${name.toLowerCase()}` }, PRIORITIES[name]);
}

/**
 * Format the time from arrival until now or, if the radiograph was read, until it was read.
 * @param {Entry} entry
 * @param {number} now  milliseconds since the epoch
 */
export function waitingTime(entry, now) {
  const end = entry.read ? Date.parse(entry.read.at) : now;
  return duration(end - Date.parse(entry.created));
}

/**
 * Say who read it, and when in local time.
 * @param {ReadMark} read
 */
export function readBy(read) {
  const time = new Date(read.at).toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "short" });
  return `Read${read.by ? ` by ${read.by}` : ""}, ${time}`;
}

/** @param {Entry} entry */
function readButton(entry) {
  const name = personName(entry.patient.name);
  const description = entry.read ? `${readBy(entry.read)}; mark ${name} unread` : `Mark ${name} read`;
  const text = entry.read ? ["Read", entry.read.by].filter(Boolean).join(", ") : "Mark read";
  return element("button", { type: "button", class: "mark", "aria-label": description, title: description }, text);
}

/** @param {string} text */
function secondLine(text) {
  return element("span", { class: "second" }, text);
}
