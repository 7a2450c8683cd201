// The radiographs in memory: the one that is open and those beside it.

import { radiograph } from "./api.js";

const KEPT = 3; // this one and its neighbours

export class Radiographs {
  #held = new Map(); // id -> what it will be, whether it is there, and how to stop it; the latest comes last

  /** What is shown of one, fetched unless it is here; whatever else is still on its way is given up. */
  load(id) {
    const held = this.#held.get(id) ?? started(id);
    held.loading.catch(() => this.#held.get(id) === held && this.drop(id)); // it is asked for again when opened
    for (const [other, { here }] of this.#held) if (other !== id && !here) this.drop(other);
    this.#held.delete(id);
    this.#held.set(id, held);
    for (const old of [...this.#held.keys()].slice(0, -KEPT)) this.drop(old);
    return held.loading;
  }

  has(id) {
    return this.#held.has(id);
  }

  /** Whether it is here whole. */
  isHere(id) {
    return this.#held.get(id)?.here ?? false;
  }

  drop(id) {
    this.#held.get(id)?.stop.abort();
    this.#held.delete(id);
  }

  clear() {
    for (const id of [...this.#held.keys()]) this.drop(id);
  }
}

function started(id) {
  const stop = new AbortController();
  const held = { stop, here: false, loading: radiograph(id, stop.signal) };
  held.loading.then(() => (held.here = true), () => {}); // whoever waits for it hears of a failure
  return held;
}
