// One page of the worklist at a time, fetched by cursor, so that a long list costs no more than a short one.

import { worklist } from "./api.js";

/** @import { Entry, Filters, Paging, Priority } from "./api.js" */

export const ROWS = 50;

export class Listing {
  /** @type {Filters} */
  filters = {};
  /** @type {Entry[]} */
  items = [];
  total = 0;
  /** @type {Record<Priority, number>} */
  unread = { STAT: 0, HIGH: 0, ROUTINE: 0 };
  /** @type {string | null} */
  #next = null;
  /** @type {Paging[]} */
  #cursors = [{}]; // of all pages up to the current one
  #latest = 0;

  /** Number of entries on the pages before the current one. */
  get first() {
    return (this.#cursors.length - 1) * ROWS;
  }

  get hasPrevious() {
    return this.#cursors.length > 1;
  }

  get hasNext() {
    return this.#next !== null;
  }

  /**
   * Fetch the current page again.
   * @returns {Promise<boolean>} false if a later request has superseded this one
   */
  async load() {
    const request = ++this.#latest;
    const page = await worklist(this.filters, { limit: ROWS, ...this.#cursors.at(-1) });
    if (request !== this.#latest) return false;
    if (page.items.length === 0 && this.hasPrevious) return this.previous();
    [this.items, this.total, this.unread, this.#next] = [page.items, page.total, page.unread, page.next];
    return true;
  }

  /** @param {Filters} filters */
  filter(filters) {
    [this.filters, this.#cursors] = [filters, [{}]];
    return this.load();
  }

  next() {
    return this.#turn(this.#next === null ? this.#cursors : [...this.#cursors, { cursor: this.#next }]);
  }

  previous() {
    return this.#turn(this.hasPrevious ? this.#cursors.slice(0, -1) : this.#cursors);
  }

  /**
   * Go to another page, or stay on the current one if the other cannot be fetched.
   * @param {Paging[]} cursors
   */
  async #turn(cursors) {
    const before = this.#cursors;
    this.#cursors = cursors;
    try {
      return await this.load();
    } catch (error) {
      if (this.#cursors === cursors) this.#cursors = before;
      throw error;
    }
  }

  /**
   * Return the next or previous entry, turning the page if necessary, or null at the end of the list.
   * @param {string} id
   * @param {1 | -1} step
   */
  async neighbour(id, step) {
    const index = this.items.findIndex((item) => item.id === id);
    if (index < 0) return this.items[0] ?? null; // the filters exclude the entry by now: the most urgent one
    const neighbour = this.items[index + step];
    if (neighbour) return neighbour;
    if (step > 0 && this.hasNext) return (await this.next()) ? this.items[0] : null;
    if (step < 0 && this.hasPrevious) return (await this.previous()) ? (this.items.at(-1) ?? null) : null;
    return null;
  }
}
