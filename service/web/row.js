// The rows of the worklist.

import { age, date, duration } from "./age.js";
import { element } from "./element.js";
import { flag, PRIORITIES, sentence } from "./findings.js";
import { personName } from "./person_name.js";

/** @import { Entry, Priority, ReadMark } from "./api.js" */

/** @type {WeakMap<HTMLTableRowElement, string>} */
const contents = new WeakMap(); // the entry of each row as JSON

/**
 * Show entries. Rows of unchanged entries stay in the document: one may just be being pressed or read aloud.
 * @param {HTMLTableSectionElement} body
 * @param {Entry[]} items
 */
export function fill(body, items) {
  const documents = new Map(items.map((entry) => [entry.id, JSON.stringify(entry)]));
  for (const tr of [...body.rows]) if (contents.get(tr) !== documents.get(tr.dataset.id ?? "")) tr.remove();
  const kept = new Map([...body.rows].map((tr) => [tr.dataset.id, tr]));
  items.forEach((entry, index) => {
    const tr = kept.get(entry.id) ?? row(entry);
    contents.set(tr, documents.get(entry.id) ?? "");
    if (body.rows[index] !== tr) body.insertBefore(tr, body.rows[index] ?? null);
  });
}

/** @param {Entry} entry */
function row(entry) {
  const { patient, study, model } = entry;
  const description = study.description || entry.series_description;
  const dated = [date(study.date), description].filter(Boolean).join(" · ");
  const name = element("a", { href: `#/${entry.id}`, class: "name" }, personName(patient.name));
  const cells = [
    element("td", {}, priority(entry.priority), ...alert(entry)),
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
  return `Read${byAndTime(read.by, read.at)}`;
}

/**
 * Say who acknowledged an alert and when, or that nobody has; empty where there was no alert, or reading it was the
 * acknowledgement.
 * @param {Entry} entry
 */
export function acknowledgedBy({ acknowledgement: { requested, at, by }, read }) {
  if (!requested || at === read?.at) return "";
  return at ? `Acknowledged${byAndTime(by, at)}` : "Not acknowledged";
}

/**
 * Whether an alert is repeated until somebody acknowledges it.
 * @param {Entry} entry
 */
export function isAlerting({ acknowledgement: { requested, at } }) {
  return requested && at === null;
}

/**
 * @param {string} by
 * @param {string} at
 */
function byAndTime(by, at) {
  const time = new Date(at).toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "short" });
  return `${by ? ` by ${by}` : ""}, ${time}`;
}

/** @param {Entry} entry */
function alert(entry) {
  const text = acknowledgedBy(entry);
  if (!text) return [];
  if (!isAlerting(entry)) return [element("span", { class: "second", title: text }, "Acknowledged")];
  const description = `Acknowledge ${personName(entry.patient.name)}; the alert is repeated until then`;
  const attributes = { type: "button", class: "acknowledge", "aria-label": description, title: description };
  return [element("button", attributes, "Acknowledge")];
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
