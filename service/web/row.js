// The rows of the worklist.

import { age, date, duration, time } from "./age.js";
import { element } from "./element.js";
import { flag, PRIORITIES } from "./findings.js";
import { personName } from "./person_name.js";
import { keepThumbnails, thumbnail } from "./thumbnail.js";
import { why } from "./reason.js";

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
  keepThumbnails([...documents.keys()]);
  const kept = new Map([...body.rows].map((tr) => [tr.dataset.id, tr]));
  items.forEach((entry, index) => {
    const tr = kept.get(entry.id) ?? row(entry);
    contents.set(tr, documents.get(entry.id) ?? "");
    if (body.rows[index] !== tr) body.insertBefore(tr, body.rows[index] ?? null);
  });
}

/**
 * Move the focus to a part of a row.
 * @param {HTMLTableRowElement} tr
 * @param {string} part  selector of the part of the row
 * @param {boolean} scroll
 */
export function focusPart(tr, part, scroll = true) {
  const target = tr.querySelector(part);
  if (target instanceof HTMLElement) target.focus({ preventScroll: !scroll });
}

/**
 * Create the row of an entry. The roles keep it a row of a table where a narrow window lays it out in lines.
 * @param {Entry} entry
 */
function row(entry) {
  const { patient, study } = entry;
  const name = element("a", { href: `#/${entry.id}`, class: "name" }, personName(patient.name));
  const person = joined(patient.id, [patient.sex, age(patient, study.date)].filter(Boolean).join(", "), others(entry));
  const taken = joined([date(study.date), time(study.time)].filter(Boolean).join(" "), entry.view_position);
  const description = study.description || entry.series_description;
  const cells = [
    element("td", { role: "cell", class: "urgency" }, priority(entry.priority), ...alert(entry)),
    element("td", { role: "cell", class: "picture" }, thumbnail(entry.id)),
    element("th", { role: "rowheader", scope: "row", class: "person" }, name, secondLine(person)),
    element("td", { role: "cell", class: "study" }, taken || "–", secondLine(joined(entry.accession_number, description))),
    element("td", { role: "cell", class: "findings" }, ...findings(entry)),
    element("td", { role: "cell", class: "number waiting" }, waitingTime(entry, Date.now())),
    element("td", { role: "cell", class: "marks" }, readButton(entry)),
  ];
  const tr = document.createElement("tr");
  tr.dataset.id = entry.id;
  tr.setAttribute("role", "row");
  tr.classList.toggle("read", Boolean(entry.read));
  tr.append(...cells);
  return tr;
}

/** @param {string[]} parts */
function joined(...parts) {
  return parts.filter(Boolean).join(" · ");
}

/** @param {Entry} entry */
function others({ other_studies: count }) {
  return count ? `${count} other ${count === 1 ? "study" : "studies"}` : "";
}

/**
 * The findings, that which decided the priority first; what is unusual about the radiograph in a second line.
 * @param {Entry} entry
 */
function findings(entry) {
  const [first, rest] = why(entry.reason, entry.positive);
  const reason = entry.reason.length ? element("strong", {}, first) : element("span", { class: "quiet" }, first);
  const unusual = entry.flags.length ? [secondLine(entry.flags.map(flag).join("; "))] : [];
  return [reason, rest && ` ${rest}`, ...unusual];
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
export function byAndTime(by, at) {
  const local = new Date(at).toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "short" });
  return `${by ? ` by ${by}` : ""}, ${local}`;
}

/** @param {Entry} entry */
function alert(entry) {
  const text = acknowledgedBy(entry);
  if (!text) return [];
  if (!isAlerting(entry)) return [element("span", { class: "second", title: text }, "Acknowledged")];
  const description = `Acknowledge the alert of ${personName(entry.patient.name)}, which is repeated until then`;
  const attributes = { type: "button", class: "acknowledge", "aria-label": description, title: description };
  return [element("button", attributes, "Acknowledge")];
}

/** @param {Entry} entry */
function readButton(entry) {
  const name = personName(entry.patient.name);
  const text = entry.read ? ["Read", entry.read.by].filter(Boolean).join(", ") : "Mark read";
  // The label begins with the text that is shown, by which who speaks to the computer names the button.
  const description = entry.read ? `${text}: ${readBy(entry.read)}; mark ${name} unread` : `${text}: ${name}`;
  return element("button", { type: "button", class: "mark", "aria-label": description, title: description }, text);
}

/** @param {string} text */
function secondLine(text) {
  return element("span", { class: "second" }, text);
}
