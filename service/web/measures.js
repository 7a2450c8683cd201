// The measures of the statistics as plots and tables: arrivals, alerts, waiting, agreement, refusals.

import { duration } from "./age.js";
import { byId, element } from "./element.js";
import { label, PRIORITIES } from "./findings.js";
import { barPlot, columnPlot, spaceForPlots, swatch } from "./plot.js";

/**
 * @import { Priority } from "./api.js"
 * @import { Group } from "./plot.js"
 *
 * @typedef {"received_to_opened" | "opened_to_read" | "received_to_read"} Stage
 * @typedef {{ week: string | null, priority: Priority, stage: Stage, count: number, median_s: number, p95_s: number }} Waiting
 * @typedef {{ week: string, finding: string, positive: boolean | null, opinion: "agree" | "disagree", count: number }} Agreement
 *
 * @typedef {object} Statistics  answer of `GET /v1/statistics`
 * @property {string} first
 * @property {string} last
 * @property {{ week: string, monday: string }[]} weeks
 * @property {{ week: string, priority: Priority, count: number }[]} arrivals
 * @property {{ week: string, finding: string, count: number }[]} alerts
 * @property {Waiting[]} waiting
 * @property {{ week: string, code: string, count: number }[]} refusals
 * @property {Agreement[]} opinions
 */

/** @type {Record<Stage, string>} */
const STAGES = {
  received_to_opened: "from receipt to opened",
  opened_to_read: "from opened to read",
  received_to_read: "from receipt to read",
};
const RESULTS = new Map([[true, "found"], [false, "not found"], [null, "no operating point"]]);

/** @param {Statistics} statistics */
export function showMeasures(statistics) {
  const { arrivals, alerts, refusals } = statistics;
  const priorities = Object.entries(PRIORITIES).map(([name, text]) => ({
    name: text, rows: arrivals.filter((row) => row.priority === name),
  }));
  byWeek("arrivals", "Radiographs received", statistics, arrivals.length ? priorities : []);
  byWeek("alerts", "Alerts by finding", statistics, grouped(alerts, (row) => label(row.finding)));
  byWeek("refusals", "Refused files", statistics, grouped(refusals, (row) => reason(row.code)));
  showWaiting(statistics);
  showOpinions(statistics);
}

/**
 * Return the code of a refusal as text.
 * @param {string} code
 */
function reason(code) {
  return label(code).replace(/\b(dicom|uid|uids|api|sop)\b/gi, (word) => word.toUpperCase().replace("UIDS", "UIDs"));
}

/**
 * Describe a number of seconds: whole seconds below two minutes, then as ages in the list.
 * @param {number} seconds
 */
export function span(seconds) {
  return seconds < 120 ? `${Math.round(seconds)} s` : duration(seconds * 1000);
}

/**
 * @param {string} id
 * @param {string} title
 * @param {Statistics} statistics
 * @param {{ name: string, rows: { week: string, count: number }[] }[]} groups
 */
function byWeek(id, title, { weeks }, groups) {
  if (!groups.length) {
    empty(id);
    return;
  }
  const rows = groups.map((group) => ({
    name: group.name, values: weeks.map(({ week }) => sum(group.rows.filter((row) => row.week === week))),
  }));
  const totals = rows.map(({ name, values }) => ({ name: `${name}: ${total(values)}`, values }));
  const names = weeks.map(({ week }) => week.slice(5));
  const heads = ["", ...weeks.map(({ week }) => week), "Total"];
  const numbers = rows.map(({ name, values }) => [name, ...values.map(String), String(total(values))]);
  const plot = scroller(`Plot: ${title} per week`, ...columnPlot(`${title} per week`, names, totals, spaceForPlots()));
  byId(id).replaceChildren(plot, table(title, heads, numbers));
  plot.scrollLeft = plot.scrollWidth; // to the latest week
}

/** @param {Statistics} statistics */
function showWaiting({ waiting }) {
  const whole = waiting.filter((row) => row.week === null);
  if (!whole.length) {
    empty("waiting");
    return;
  }
  const title = "Median and 95th percentile of the waiting time";
  /** @type {Group[]} */
  const groups = whole.map((row) => ({
    name: `${PRIORITIES[row.priority]}, ${STAGES[row.stage]}`,
    bars: [
      { size: row.median_s, text: span(row.median_s), kind: "solid" },
      { size: row.p95_s, text: span(row.p95_s), kind: "hatched" },
    ],
  }));
  const heads = ["", "Week", "Radiographs", "Median", "95th percentile"];
  const rows = waiting.map((row) => [
    `${PRIORITIES[row.priority]}, ${STAGES[row.stage]}`, row.week ?? "all", String(row.count), span(row.median_s), span(row.p95_s),
  ]);
  const names = key({ solid: "Median", hatched: "95th percentile" });
  const plot = scroller(`Plot: ${title}`, barPlot(title, groups, spaceForPlots()));
  byId("waiting").replaceChildren(names, plot, table(title, heads, rows));
}

/** @param {Statistics} statistics */
function showOpinions({ opinions }) {
  if (!opinions.length) {
    empty("opinions");
    return;
  }
  const title = "Opinions of the readers";
  const counted = grouped(opinions, (row) => `${label(row.finding)}, ${RESULTS.get(row.positive)}`).map(({ name, rows }) => ({
    name, agree: sum(rows.filter((row) => row.opinion === "agree")), disagree: sum(rows.filter((row) => row.opinion === "disagree")),
  }));
  /** @type {Group[]} */
  const groups = counted.map(({ name, agree, disagree }) => ({
    name,
    bars: [
      { size: agree, text: `${agree} agree`, kind: "solid" },
      { size: disagree, text: `${disagree} disagree`, kind: "hatched" },
    ],
  }));
  const rows = counted.map(({ name, agree, disagree }) => [name, String(agree), String(disagree)]);
  const names = key({ solid: "Agree", hatched: "Disagree" });
  const plot = scroller(`Plot: ${title}`, barPlot(title, groups, spaceForPlots()));
  byId("opinions").replaceChildren(names, plot, table(title, ["", "Agree", "Disagree"], rows));
}

/**
 * Group rows by name, the most frequent first.
 * @template {{ count: number }} T
 * @param {T[]} rows
 * @param {(row: T) => string} name
 * @returns {{ name: string, rows: T[] }[]}
 */
function grouped(rows, name) {
  const names = [...new Set(rows.map(name))].map((text) => ({ name: text, rows: rows.filter((row) => name(row) === text) }));
  return names.sort((one, other) => sum(other.rows) - sum(one.rows));
}

/** @param {{ count: number }[]} rows */
function sum(rows) {
  return total(rows.map((row) => row.count));
}

/** @param {number[]} values */
function total(values) {
  return values.reduce((before, value) => before + value, 0);
}

/**
 * @param {Record<"solid" | "hatched", string>} names
 */
function key(names) {
  const kinds = /** @type {const} */ (["solid", "hatched"]);
  return element("ul", { class: "key-of-plot" }, ...kinds.map((kind) => element("li", {}, swatch(kind), names[kind])));
}

/**
 * @param {string} caption
 * @param {string[]} heads
 * @param {string[][]} rows  the first cell names the row
 */
function table(caption, heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => text ? element("th", { scope: "col" }, text) : element("td")));
  const lines = rows.map(([name = "", ...cells]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell))));
  const whole = element("table", {}, element("caption", { class: "unseen" }, caption), element("thead", {}, head), element("tbody", {}, ...lines));
  return element("details", {}, element("summary", {}, `Numbers as a table: ${caption}`), scroller(`Table: ${caption}`, whole));
}

/** @param {string} id */
function empty(id) {
  byId(id).replaceChildren(element("p", { class: "quiet" }, "None in this period."));
}

/**
 * Let a wide part scroll by itself, also by keyboard.
 * @param {string} name
 * @param {Element[]} parts
 */
function scroller(name, ...parts) {
  return element("div", { class: "scroller", role: "group", "aria-label": name, tabindex: "0" }, ...parts);
}
