// The worklist: rows in the order of the service, filters, pages, and updates.

import { acknowledge, markRead, post, save } from "./api.js";
import { arrivals } from "./arrivals.js";
import { listenToColumns, showOrder } from "./columns.js";
import { byId, element, targetOf } from "./element.js";
import { chosenFilters, field, showFilters } from "./filters.js";
import { label } from "./findings.js";
import { showPosition } from "./paging.js";
import { addressOf, keep } from "./place.js";
import { words } from "./problem.js";
import { askedReader, reader } from "./reader.js";
import { fill, focusPart, isAlerting, waitingTime } from "./row.js";
import { say } from "./toast.js";
import { showUnread, updateOldest } from "./unread.js";

/**
 * @import { Entry, Priority } from "./api.js"
 * @import { Change } from "./events.js"
 * @import { Actions } from "./keys.js"
 * @import { Listing } from "./listing.js"
 * @import { Selection } from "./place.js"
 */

const TYPING_MS = 250; // pause in typing after which the list is filtered
const UPDATE_MS = 300; // changes within this time are shown together

export class Worklist {
  /** @type {Priority[]} */
  #arrived = []; // priorities of radiographs that have not been announced yet
  #timers = { filter: 0, update: 0 };

  /**
   * @param {Listing} listing
   * @param {(id: string) => void} open  shows a radiograph
   * @param {string[]} labels  findings to filter by
   */
  constructor(listing, open, labels) {
    this.listing = listing;
    this.open = open;
    field("finding").append(...labels.map((name) => element("option", { value: name }, label(name))));
    byId("filters").addEventListener("input", () => this.#after("filter", TYPING_MS, () => this.#filter()));
    byId("filters").addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(this.#timers.filter);
      this.#filter().then(() => this.move(1));
    });
    byId("export").addEventListener("click", () => this.exportCsv());
    byId("page-after").addEventListener("click", () => this.turnPage(1));
    byId("page-before").addEventListener("click", () => this.turnPage(-1));
    byId("rows").addEventListener("click", (event) => this.#clicked(event));
    listenToColumns(() => listing.order, (order) => this.#select({ filters: chosenFilters(), order }));
    setInterval(() => this.#updateWaiting(), 1000);
  }

  /** @returns {Actions} */
  get actions() {
    return {
      j: () => this.move(1), k: () => this.move(-1), n: () => this.turnPage(1), p: () => this.turnPage(-1),
      ArrowDown: () => this.move(1), ArrowUp: () => this.move(-1),
      m: () => this.selected && this.toggleRead(this.selected),
      a: () => this.selected && this.acknowledge(this.selected), "/": () => field("q").focus(),
      Enter: () => this.selected && this.open(this.selected.id),
    };
  }

  /** The entry whose row has the focus. */
  get selected() {
    return this.#entryOf(document.activeElement);
  }

  /** What the list shows. */
  get selection() {
    const { filters, order } = this.listing;
    return { filters, order };
  }

  async refresh() {
    await this.#show(this.listing.load());
  }

  /**
   * Show the list that an address names; where it is shown already, as it is now.
   * @param {Selection} selection
   */
  async restore(selection) {
    showFilters(selection.filters);
    selection.filters = chosenFilters(); // without values that are not offered
    const isShown = addressOf(selection) === addressOf(this.selection) && selection.filters.q === this.listing.filters.q;
    await this.#show(isShown ? this.listing.load() : this.listing.select(selection));
  }

  /**
   * Fetch the page again after a change and announce new radiographs.
   * @param {Change} change
   */
  changed(change) {
    if (change.kind === "measured") return; // the list shows nothing of it
    if (change.kind === "new") this.#arrived.push(change.priority);
    this.#after("update", UPDATE_MS, async () => {
      await this.refresh();
      if (this.#arrived.length) say(arrivals(this.#arrived));
      this.#arrived = [];
    });
  }

  /** @param {1 | -1} step */
  async turnPage(step) {
    await this.#show(step > 0 ? this.listing.next() : this.listing.previous());
    byId("table").scrollTo(0, 0);
    if (document.activeElement === document.body) this.move(1); // the button that was pressed is disabled now
  }

  /**
   * Move the focus to another row.
   * @param {1 | -1} step
   */
  move(step) {
    const rows = [...table().rows];
    const current = rows.findIndex((tr) => tr.contains(document.activeElement));
    const start = step > 0 ? 0 : rows.length - 1;
    const next = current < 0 ? start : Math.min(rows.length - 1, Math.max(0, current + step));
    if (rows[next]) focusPart(rows[next], "a.name");
  }

  /** @param {Entry} entry */
  async toggleRead(entry) {
    const by = entry.read ? reader() : await askedReader();
    if (by !== null) await this.#change(markRead(entry.id, !entry.read, by));
  }

  /** @param {Entry} entry */
  async acknowledge(entry) {
    const by = isAlerting(entry) ? await askedReader() : null;
    if (by !== null) await this.#change(acknowledge(entry.id, by));
  }

  /** @param {Promise<unknown>} change */
  async #change(change) {
    try {
      await change;
      await this.refresh();
    } catch (error) {
      say(words(error), "problem");
    }
  }

  async exportCsv() {
    const saving = save("worklist.csv", "worklist.csv", post({ ...this.listing.filters, ...this.listing.order }));
    await saving.catch((error) => say(words(error), "problem"));
  }

  /**
   * Move the focus to an entry's row or, if it has gone, to the row in its place.
   * @param {string} id
   * @param {string} part  selector of the part of the row
   * @param {number} index
   */
  select(id, part = "a.name", index = 0) {
    const rows = [...table().rows];
    const same = rows.find((tr) => tr.dataset.id === id);
    const target = same ?? rows[Math.min(index, rows.length - 1)];
    if (target) focusPart(target, part, Boolean(same));
    else field("q").focus({ preventScroll: true });
  }

  #filter() {
    return this.#select({ filters: chosenFilters(), order: this.listing.order });
  }

  /** @param {Selection} selection */
  #select(selection) {
    keep(selection);
    return this.#show(this.listing.select(selection));
  }

  /**
   * Act after a pause; a second call for the same purpose starts the pause again.
   * @param {"filter" | "update"} purpose
   * @param {number} milliseconds
   * @param {() => void} act
   */
  #after(purpose, milliseconds, act) {
    clearTimeout(this.#timers[purpose]);
    this.#timers[purpose] = setTimeout(act, milliseconds);
  }

  /** @param {Promise<void>} loading */
  async #show(loading) {
    try {
      await loading;
      this.#render();
    } catch (error) {
      say(words(error), "problem");
    }
  }

  #render() {
    const { items, counts, filters, order } = this.listing;
    const before = [...table().rows].findIndex((tr) => tr.contains(document.activeElement));
    const focusedRow = table().rows[before];
    const part = document.activeElement?.matches("button.mark") ? "button.mark" : "a.name";
    fill(table(), items);
    if (focusedRow && !focusedRow.contains(document.activeElement)) {
      const id = focusedRow.dataset.id ?? "";
      const hasLeft = items.some((item, index) => item.id === id && item.read && index !== before);
      this.select(hasLeft ? "" : id, part, before); // who marks one row as read after the other stays in their place
    }
    showOrder(order);
    const isFiltered = Object.keys(filters).length > 0;
    byId("empty").hidden = items.length > 0;
    byId("samples").hidden = items.length > 0 || isFiltered;
    byId("empty").textContent = isFiltered
      ? "No radiographs match these filters."
      : "No radiographs yet. Add DICOM files or drop them here.";
    showPosition(this.listing);
    showUnread(counts);
  }

  /** @param {Event} event */
  #clicked(event) {
    const target = targetOf(event);
    const entry = this.#entryOf(target);
    if (!entry || target.closest("a") || String(getSelection())) return;
    if (target.closest("button.mark")) this.toggleRead(entry);
    else if (target.closest("button.acknowledge")) this.acknowledge(entry);
    else this.open(entry.id);
  }

  /** @param {Element | null} part  a row or something in it */
  #entryOf(part) {
    const id = part?.closest("tr[data-id]")?.getAttribute("data-id");
    return this.listing.items.find((item) => item.id === id);
  }

  #updateWaiting() {
    const cells = byId("rows").querySelectorAll("td.waiting");
    cells.forEach((cell, index) => {
      const text = waitingTime(this.listing.items[index], Date.now());
      if (cell.textContent !== text) cell.textContent = text;
    });
    updateOldest();
  }
}

function table() {
  return byId("rows", HTMLTableSectionElement);
}
