// Plots as SVG: bars with their numbers written beside them. A pattern tells two kinds of bars apart, never colour alone.
// Style sheets give the colours. A plot is one image for a screen reader; the table below it has the numbers.

import { byId } from "./element.js";
import { svg } from "./svg.js";

/**
 * @typedef {{ name: string, values: number[] }} Series  one number for each column
 * @typedef {{ size: number, text: string, kind: "solid" | "hatched" }} Bar
 * @typedef {{ name: string, bars: Bar[] }} Group
 */

const LABEL = 210; // pixels for the name of a row
const ROW = 52; // of a row of columns
const BAR = 16;
const HATCH = "hatch";

/**
 * Draw a row of columns for each series, all on one scale.
 * The names of the rows are a picture of their own, which can stay in sight while the columns scroll.
 * @param {string} title
 * @param {string[]} columns  names
 * @param {Series[]} rows
 * @param {number} space  pixels
 */
export function columnPlot(title, columns, rows, space) {
  const width = Math.max(30, Math.floor((space - LABEL - 6) / Math.max(columns.length, 1)));
  const height = rows.length * ROW;
  const plot = image(title, width * columns.length + 6, height + 20);
  const names = svg("svg", { class: "plot names", width: LABEL, height: height + 20, "aria-hidden": "true" });
  const largest = Math.max(...rows.flatMap(({ values }) => values), 1);
  rows.forEach(({ name, values }, index) => {
    const base = (index + 1) * ROW - 6;
    names.append(text(name, 0, base - 2));
    plot.append(line(0, base, width * columns.length));
    values.forEach((value, column) => {
      const tall = value && Math.max(1, Math.round((value / largest) * (ROW - 24)));
      const left = column * width + 4;
      if (value) plot.append(box("solid", left, base - tall, Math.min(width - 8, 60), tall));
      plot.append(text(String(value), left, base - tall - 4, value ? "" : "quiet"));
    });
  });
  const every = Math.ceil(52 / width); // columns for each name, so that names do not overlap
  columns.forEach((name, column) => {
    if (column % every === 0) plot.append(text(name, column * width + 4, height + 12, "quiet"));
  });
  return [names, plot];
}

/**
 * Draw horizontal bars in groups; all have one scale.
 * @param {string} title
 * @param {Group[]} groups
 * @param {number} space  pixels
 */
export function barPlot(title, groups, space) {
  const largest = Math.max(...groups.flatMap((group) => group.bars.map((bar) => bar.size)), Number.MIN_VALUE);
  const reach = Math.max(120, space - LABEL - 130); // beside a bar is room for its text
  const tops = groups.map((_, index) => groups.slice(0, index).reduce((sum, group) => sum + tallness(group), 0));
  const plot = image(title, LABEL + reach + 130, (tops.at(-1) ?? 0) + tallness(groups.at(-1)));
  groups.forEach(({ name, bars }, index) => {
    const top = tops[index] ?? 0;
    plot.append(text(name, 0, top + 12));
    bars.forEach((bar, place) => {
      const above = top + place * (BAR + 2);
      const long = Math.max(1, Math.round((bar.size / largest) * reach));
      if (bar.size > 0) plot.append(box(bar.kind, LABEL, above, long, BAR - 2));
      plot.append(text(bar.text, LABEL + (bar.size > 0 ? long : 0) + 6, above + 12));
    });
  });
  return plot;
}

/**
 * A small picture of a kind of bar, for the key of a plot.
 * @param {"solid" | "hatched"} kind
 */
export function swatch(kind) {
  const plot = svg("svg", { class: "plot", width: 26, height: 12, "aria-hidden": "true" });
  plot.append(...patterns(), box(kind, 0.5, 0.5, 25, 11));
  return plot;
}

/** Return the pixels beside each other that a plot may take. */
export function spaceForPlots() {
  return Math.max(560, Math.min(byId("main").clientWidth - 32, 1240));
}

/** @param {Group | undefined} group */
function tallness(group) {
  return (group?.bars.length ?? 0) * (BAR + 2) + 10;
}

/**
 * @param {string} title
 * @param {number} width
 * @param {number} height
 */
function image(title, width, height) {
  const plot = svg("svg", { class: "plot", width, height, role: "img", "aria-label": title });
  plot.append(...patterns());
  return plot;
}

/** The pattern of hatched bars; each plot has it, because a hidden one would hide it from the others. */
function patterns() {
  const pattern = svg("pattern", { id: HATCH, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(svg("line", { class: "stripe", x1: 1, y1: 0, x2: 1, y2: 6 }));
  const defs = svg("defs", {});
  defs.append(pattern);
  return [defs];
}

/**
 * @param {"solid" | "hatched"} kind
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 */
function box(kind, x, y, width, height) {
  const fill = kind === "hatched" ? { fill: `url(#${HATCH})` } : {};
  return svg("rect", { class: kind, x, y, width, height, ...fill });
}

/**
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {string} [style]
 */
function text(words, x, y, style = "") {
  const written = svg("text", { x, y, class: style });
  written.textContent = words;
  return written;
}

/**
 * @param {number} from
 * @param {number} y
 * @param {number} to
 */
function line(from, y, to) {
  return svg("line", { class: "base", x1: from, y1: y + 0.5, x2: to, y2: y + 0.5 });
}
