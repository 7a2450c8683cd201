// The radiographs in memory: the one that is open and its neighbours.

import { radiograph } from "./api.js";

/**
 * @import { Radiograph } from "./api.js"
 *
 * @typedef {{ loading: Promise<Radiograph>, isLoaded: boolean, abort: AbortController }} Slot
 */

const CAPACITY = 3; // the open one and two neighbours

export class Radiographs {
  /** @type {Map<string, Slot>} */
  #slots = new Map(); // by id, the last used one last

  /**
   * Return a radiograph, fetching it if it is not in memory. Other downloads in progress are aborted.
   * @param {string} id
   */
  load(id) {
    const slot = this.#slots.get(id) ?? fetched(id);
    slot.loading.catch(() => this.#slots.get(id) === slot && this.drop(id)); // so that the next call fetches it again
    for (const [other, { isLoaded }] of this.#slots) if (other !== id && !isLoaded) this.drop(other);
    this.#slots.delete(id);
    this.#slots.set(id, slot);
    for (const old of [...this.#slots.keys()].slice(0, -CAPACITY)) this.drop(old);
    return slot.loading;
  }

  /** @param {string} id */
  has(id) {
    return this.#slots.has(id);
  }

  /** @param {string} id */
  isLoaded(id) {
    return this.#slots.get(id)?.isLoaded ?? false;
  }

  /** @param {string} id */
  drop(id) {
    this.#slots.get(id)?.abort.abort();
    this.#slots.delete(id);
  }

  clear() {
    for (const id of [...this.#slots.keys()]) this.drop(id);
  }
}

/**
 * @param {string} id
 * @returns {Slot}
 */
function fetched(id) {
  const abort = new AbortController();
  const slot = { abort, isLoaded: false, loading: radiograph(id, abort.signal) };
  slot.loading.then(() => (slot.isLoaded = true), () => {}); // callers of load() handle the failure
  return slot;
}
