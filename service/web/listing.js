// One page of the worklist at a time, fetched by cursor, so that a long list costs no more than a short one.

import { worklist } from "./api.js";
import { orderBy } from "./place.js";

/**
 * @import { Entry, Filters, Order, Page, Paging } from "./api.js"
 * @import { Selection } from "./place.js"
 */

export const ROWS = 50;

/**
 * Return the text of a number of entries, which are counted up to a limit.
 * @param {number} number
 * @param {number} limit
 */
export function counted(number, limit) {
  return number.toLocaleString("en") + (number >= limit ? "+" : "");
}

export class Listing {
  /** @type {Filters} */
  filters = {};
  /** @type {Order} */
  order = orderBy("urgency", false);
  /** @type {Entry[]} */
  items = [];
  total = 0;
  /** @type {Pick<Page, "counted_to" | "unread" | "oldest_unread_stat">} */
  counts = { counted_to: 1, unread: { STAT: 0, HIGH: 0, ROUTINE: 0 }, oldest_unread_stat: null };
  /** @type {string | null} */
  #next = null;
  /** @type {Paging[]} */
  #cursors = [{}]; // of all pages up to the current one
  #latest = 0;
  /** @type {Promise<void>} */
  #loading = Promise.resolve(); // the latest request
  /** @type {Map<string, { before?: string, after?: string, origin?: string }>} */
  #neighbours = new Map(); // by entry: those beside the place that it left, and the one from which a step led to it

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
   * Fetch the current page again. Where a later request supersedes this one, the later one ends both.
   * @returns {Promise<void>}
   */
  load() {
    this.#loading = this.#fetch(++this.#latest);
    return this.#loading;
  }

  /**
   * @param {number} request
   * @returns {Promise<void>}
   */
  async #fetch(request) {
    const page = await worklist(this.filters, this.order, { limit: ROWS, ...this.#cursors.at(-1) });
    if (request !== this.#latest) await this.#loading;
    else if (page.items.length === 0 && this.hasPrevious) await this.previous();
    else {
      this.#rememberNeighbours(page.items);
      [this.items, this.total, this.counts, this.#next] = [page.items, page.total, page, page.next];
    }
  }

  /** @param {Selection} selection */
  select({ filters, order }) {
    [this.filters, this.order, this.#cursors] = [filters, order, [{}]];
    this.#neighbours.clear();
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
      await this.load();
    } catch (error) {
      if (this.#cursors === cursors) this.#cursors = before;
      throw error;
    }
  }

  /**
   * Remember the neighbours of entries that were marked as read and therefore leave their place, so that who reads one
   * after the other goes on from there.
   * @param {Entry[]} items
   */
  #rememberNeighbours(items) {
    const unread = new Set(items.filter((item) => !item.read).map((item) => item.id));
    this.items.forEach(({ id, read }, index) => {
      if (read || unread.has(id) || items[index]?.id === id) return;
      const [before, after] = [this.items[index - 1]?.id, this.items[index + 1]?.id];
      this.#neighbours.set(id, { ...this.#neighbours.get(id), before, after });
    });
  }

  /**
   * Return the next or previous entry, turning the page if necessary, or null at the end of the list. Back from an entry
   * that a step led to is where the step began, also if that was marked as read and left its place.
   * @param {string} id
   * @param {1 | -1} step
   * @returns {Promise<{ id: string } | null>}
   */
  async neighbour(id, step) {
    const { before, after, origin } = this.#neighbours.get(id) ?? {};
    const { after: left } = this.#neighbours.get(origin ?? "") ?? {};
    if (step < 0 && origin && left) return { id: origin }; // it has left its place, perhaps for another page
    const remembered = this.items.find((item) => item.id === (step > 0 ? after : (origin ?? before)));
    const neighbour = remembered ?? (await this.#neighbourInOrder(id, step));
    if (neighbour && step > 0) this.#neighbours.set(neighbour.id, { ...this.#neighbours.get(neighbour.id), origin: id });
    return neighbour;
  }

  /**
   * Return the next entry that nobody has read, or else the first one of the list; null if there is none.
   * @param {string} id
   */
  async nextUnread(id) {
    const later = this.#following(id).find((item) => !item.read);
    const next = later ?? (await this.#unread()).find((item) => item.id !== id) ?? null;
    if (next) this.#neighbours.set(next.id, { ...this.#neighbours.get(next.id), origin: id });
    return next;
  }

  /**
   * Return the entries of the page after one; where it has been marked as read, those after the place that it left.
   * @param {string} id
   */
  #following(id) {
    const index = this.items.findIndex((item) => item.id === id);
    const { after } = this.#neighbours.get(id) ?? {};
    const left = this.items[index]?.read === null ? -1 : this.items.findIndex((item) => item.id === after);
    if (left >= 0) return this.items.slice(left);
    return index < 0 ? [] : this.items.slice(index + 1);
  }

  async #unread() {
    return (await worklist({ ...this.filters, read: false }, this.order, { limit: 2 })).items;
  }

  /**
   * @param {string} id
   * @param {1 | -1} step
   */
  async #neighbourInOrder(id, step) {
    const index = this.items.findIndex((item) => item.id === id);
    if (index < 0) return this.items[0] ?? null; // the filters exclude the entry by now: the most urgent one
    const neighbour = this.items[index + step];
    if (neighbour) return neighbour;
    if (step > 0 ? !this.hasNext : !this.hasPrevious) return null;
    await (step > 0 ? this.next() : this.previous());
    return this.items.at(step > 0 ? 0 : -1) ?? null;
  }
}
