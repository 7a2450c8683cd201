// One row of the worklist.

import { age, date, waiting } from "./age.js";
import { element } from "./element.js";
import { flag, PRIORITIES, sentence } from "./findings.js";
import { personName } from "./person_name.js";

/** @param entry as the service tells it */
export function row(entry) {
  const { patient, study, model } = entry;
  const described = study.description || entry.series_description;
  const taken = [date(study.date), described].filter(Boolean).join(" · ");
  const name = element("a", { href: `#/${entry.id}`, class: "name" }, personName(patient.name));
  const cells = [
    element("td", {}, priority(entry.priority)),
    element("th", { scope: "row" }, name, second(patient.id)),
    element("td", {}, [patient.sex, age(patient, study.date)].filter(Boolean).join(", ") || "–"),
    element("td", {}, entry.accession_number || "–", second(taken)),
    element("td", { class: entry.positive.length ? "positive" : "quiet" }, sentence(entry.positive)),
    element("td", { class: "number waiting" }, waited(entry, Date.now())),
    element("td", { class: "quiet" }, entry.flags.map(flag).join("; ")),
    element("td", { class: "quiet" }, model.version),
    element("td", {}, readButton(entry)),
  ];
  return element("tr", { "data-id": entry.id, class: entry.read ? "read" : null }, ...cells);
}

export function priority(name) {
  return element("span", { class: `priority ${name.toLowerCase()}` }, PRIORITIES[name]);
}

/** Waiting ends with reading. */
export function waited(entry, now) {
  const until = entry.read ? Date.parse(entry.read.at) : now;
  return waiting(until - Date.parse(entry.created));
}

/** Who has read it, and when, in the reader's own time. */
export function readBy(read) {
  const time = new Date(read.at).toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "short" });
  return `Read${read.by ? ` by ${read.by}` : ""}, ${time}`;
}

function readButton(entry) {
  const name = personName(entry.patient.name);
  const described = entry.read ? `${readBy(entry.read)}; mark ${name} unread` : `Mark ${name} read`;
  const short = entry.read ? ["Read", entry.read.by].filter(Boolean).join(", ") : "Mark read";
  return element("button", { type: "button", class: "mark", "aria-label": described, title: described }, short);
}

function second(text) {
  return element("span", { class: "second" }, text);
}
