// One page of the worklist at a time, fetched by cursor: a hundred thousand rows cost what fifty do.

import { worklist } from "./api.js";

export const ROWS = 50;

export class Listing {
  filters = {};
  items = [];
  total = 0;
  unread = {};
  #next = null;
  #cursors = [{}]; // of every page up to this one
  #latest = 0;

  get first() {
    return (this.#cursors.length - 1) * ROWS;
  }

  get hasBefore() {
    return this.#cursors.length > 1;
  }

  get hasAfter() {
    return this.#next !== null;
  }

  /** Fetch the page again; true unless a later request has overtaken this one. */
  async load() {
    const request = ++this.#latest;
    const page = await worklist(this.filters, { limit: ROWS, ...this.#cursors.at(-1) });
    if (request !== this.#latest) return false;
    if (page.items.length === 0 && this.hasBefore) return this.before();
    [this.items, this.total, this.unread, this.#next] = [page.items, page.total, page.unread, page.next];
    return true;
  }

  filter(filters) {
    [this.filters, this.#cursors] = [filters, [{}]];
    return this.load();
  }

  after() {
    return this.#turn(this.hasAfter ? [...this.#cursors, { cursor: this.#next }] : this.#cursors);
  }

  before() {
    return this.#turn(this.hasBefore ? this.#cursors.slice(0, -1) : this.#cursors);
  }

  /** Go to another page, or stay where one is if it cannot be fetched. */
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

  /** The entry before or after one, over the ends of the page; null at the ends of the list. */
  async neighbour(id, step) {
    const index = this.items.findIndex((item) => item.id === id);
    const wanted = index + step;
    if (index >= 0 && this.items[wanted]) return this.items[wanted];
    if (index < 0) return this.items[0] ?? null; // filtered away meanwhile: the most urgent
    if (step > 0 && this.hasAfter) return (await this.after()) ? this.items[0] : null;
    if (step < 0 && this.hasBefore) return (await this.before()) ? this.items.at(-1) : null;
    return null;
  }
}
