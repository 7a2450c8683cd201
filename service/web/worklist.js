// The worklist: rows in the order that the service gives, filters, pages, and what arrives meanwhile.

import { markRead, post, save } from "./api.js";
import { byId, element } from "./element.js";
import { label, PRIORITIES } from "./findings.js";
import { words } from "./problem.js";
import { reader } from "./reader.js";
import { row, waited } from "./row.js";
import { say } from "./toast.js";

const TYPING_MS = 250;
const TOGETHER_MS = 300; // changes that come closer are shown at once

export class Worklist {
  #arrived = [];
  #timers = {}; // what is typed and what arrives do not wait for each other

  /** @param open (id) => shows it; `knownLabels` are the findings to filter by */
  constructor(listing, open, knownLabels) {
    Object.assign(this, { listing, open });
    const finding = byId("filters").elements.finding;
    for (const name of knownLabels) finding.append(element("option", { value: name }, label(name)));
    byId("filters").addEventListener("input", () => this.#soon("typed", () => this.#filter(), TYPING_MS));
    byId("filters").addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(this.#timers.typed);
      this.#filter().then(() => this.move(1));
    });
    byId("export").addEventListener("click", () => this.exportCsv());
    byId("page-after").addEventListener("click", () => this.page(1));
    byId("page-before").addEventListener("click", () => this.page(-1));
    byId("rows").addEventListener("click", (event) => this.#clicked(event));
    setInterval(() => this.#tick(), 1000);
  }

  get actions() {
    return {
      j: () => this.move(1), k: () => this.move(-1), n: () => this.page(1), p: () => this.page(-1),
      ArrowDown: () => this.move(1), ArrowUp: () => this.move(-1),
      m: () => this.selected && this.toggleRead(this.selected), "/": () => byId("filters").elements.q.focus(),
      Enter: () => this.selected && this.open(this.selected.id),
    };
  }

  get selected() {
    const id = document.activeElement?.closest("tr[data-id]")?.dataset.id;
    return this.listing.items.find((item) => item.id === id);
  }

  async refresh() {
    await this.#shown(this.listing.load());
  }

  /** Something changed at the service: say what arrived, and fetch the page again. */
  changed(event) {
    if (event.kind === "new") this.#arrived.push(event.priority);
    this.#soon("arrived", async () => {
      await this.refresh();
      if (this.#arrived.length) say(arrivals(this.#arrived));
      this.#arrived = [];
    }, TOGETHER_MS);
  }

  async page(step) {
    await this.#shown(step > 0 ? this.listing.after() : this.listing.before());
    byId("table").scrollTo(0, 0);
    if (document.activeElement === document.body) this.move(1); // the button that was pressed has nothing to go to
  }

  move(step) {
    const links = [...byId("rows").querySelectorAll("a.name")];
    const at = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
    const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step))];
    next?.focus();
  }

  async toggleRead(entry) {
    await markRead(entry.id, !entry.read, reader()).then(() => this.refresh(), (error) => say(words(error), "problem"));
  }

  async exportCsv() {
    const saving = save("worklist.csv", "worklist.csv", post(this.listing.filters));
    await saving.catch((error) => say(words(error), "problem"));
  }

  /** Put the focus on a row: on its name, or on what else of it is asked for; if it is gone, on what stands there. */
  select(id, part = "a.name", at = 1) {
    const { rows } = byId("rows");
    const same = [...rows].find((one) => one.dataset.id === id);
    const found = same ?? rows[Math.min(at, rows.length) - 1]; // the table's head has the index 0
    (found?.querySelector(part) ?? byId("filters").elements.q).focus({ preventScroll: !same });
  }

  #filter() {
    return this.#shown(this.listing.filter(chosen(byId("filters").elements)));
  }

  #soon(name, act, milliseconds) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(act, milliseconds);
  }

  async #shown(loading) {
    try {
      if (await loading) this.#render();
    } catch (error) {
      say(words(error), "problem");
    }
  }

  #render() {
    const { items, total, unread, first, filters } = this.listing;
    const focused = document.activeElement?.closest("#rows tr");
    const part = document.activeElement?.matches("button.mark") ? "button" : "a.name";
    const at = focused?.rowIndex;
    fill(byId("rows"), items);
    if (focused && !focused.contains(document.activeElement)) this.select(focused.dataset.id, part, at);
    const filtered = Object.keys(filters).length > 0;
    byId("empty").hidden = items.length > 0;
    const nothing = filtered ? "Nothing fits these filters." : "Nothing yet. Add DICOM files, or drop them here.";
    byId("empty").textContent = nothing;
    const rows = `${first + 1}–${first + items.length} of ${total.toLocaleString("en")}`;
    byId("position").textContent = items.length ? rows : "";
    byId("page-before").disabled = !this.listing.hasBefore;
    byId("page-after").disabled = !this.listing.hasAfter;
    byId("unread").replaceChildren(...Object.entries(PRIORITIES).map(([name, text]) =>
      element("li", { class: name.toLowerCase() }, element("b", {}, String(unread[name] ?? 0)), ` ${text} unread`)));
    document.title = unread.STAT ? `(${unread.STAT} STAT) AG-CNN triage` : "AG-CNN triage";
  }

  #clicked(event) {
    const id = event.target.closest("tr[data-id]")?.dataset.id;
    const entry = this.listing.items.find((item) => item.id === id);
    if (!entry || event.target.closest("a") || String(getSelection())) return;
    if (event.target.closest("button.mark")) this.toggleRead(entry);
    else this.open(id);
  }

  #tick() {
    const cells = byId("rows").querySelectorAll("td.waiting");
    cells.forEach((cell, index) => {
      const text = waited(this.listing.items[index], Date.now());
      if (cell.textContent !== text) cell.textContent = text;
    });
  }
}

/** Show entries; rows of those that are as they were are not touched: one may be pressed, or read aloud, just now. */
function fill(table, items) {
  const told = new Map(items.map((entry) => [entry.id, JSON.stringify(entry)]));
  for (const shown of [...table.rows]) if (shown.told !== told.get(shown.dataset.id)) shown.remove();
  const kept = new Map([...table.rows].map((shown) => [shown.dataset.id, shown]));
  items.forEach((entry, index) => {
    const wanted = kept.get(entry.id) ?? Object.assign(row(entry), { told: told.get(entry.id) });
    if (table.rows[index] !== wanted) table.insertBefore(wanted, table.rows[index] ?? null);
  });
}

/** What the filters say, as the service wants it; what is left open is left out. */
function chosen({ q, priority, finding, read }) {
  const filters = { q: q.value.trim(), priority: priority.value, finding: finding.value };
  const open = Object.entries(filters).filter(([, value]) => value);
  return { ...Object.fromEntries(open), ...(read.value && { read: read.value === "1" }) };
}

/** @param priorities of what came */
export function arrivals(priorities) {
  const stat = priorities.filter((priority) => priority === "STAT").length;
  const count = priorities.length === 1 ? "1 new radiograph" : `${priorities.length} new radiographs`;
  return stat ? `${count}, ${stat} STAT` : count;
}

