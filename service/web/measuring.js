// A measurement while it is drawn: by drags, by clicks, or by both, for users who cannot drag (WCAG 2.5.7).

import { KINDS } from "./measurement.js";

/**
 * @import { Kind, Shape } from "./measurement.js"
 * @import { Point, Size } from "./view.js"
 *
 * @typedef {object} Drawn
 * @property {() => void} changed  the unfinished measurement has changed
 * @property {(shape: Shape) => void} finished
 */

const SHORTEST = 3; // screen pixels; a shorter drag is a click

export class Measuring {
  /** @type {Kind | null} */
  kind = null; // of the next measurement; null while dragging does something else
  /** @type {Size} */
  image = { width: 0, height: 0 };
  /** @type {Point[]} */
  #points = [];
  /** @type {Point | null} */
  #loose = null; // follows the pointer

  /** @param {Drawn} drawn */
  constructor(drawn) {
    this.drawn = drawn;
  }

  /** @param {Kind | null} kind */
  use(kind) {
    this.kind = kind;
    this.cancel();
  }

  get isUnderWay() {
    return this.#points.length > 0;
  }

  /** Return what is drawn so far. @returns {Shape | null} */
  get shape() {
    if (!this.kind || !this.isUnderWay) return null;
    return { kind: this.kind, points: this.#loose ? [...this.#points, this.#loose] : this.#points };
  }

  /**
   * The pointer is put down: it starts a line, or takes the loose end of the one that a click has started.
   * @param {Point} point
   */
  press(point) {
    if (this.#startsLine) this.#points = [...this.#points, this.#placed(point)];
    this.move(point);
  }

  /** @param {Point} point */
  move(point) {
    if (!this.isUnderWay || this.#startsLine) return;
    this.#loose = this.#placed(point);
    this.drawn.changed();
  }

  /**
   * The pointer is lifted, which fixes the loose end unless this was a click that starts a line.
   * @param {number} scale  screen pixels per pixel of the image
   */
  release(scale) {
    const { kind } = this;
    const [loose, last] = [this.#loose, this.#points.at(-1)];
    if (!kind || !loose || !last || Math.hypot(loose.x - last.x, loose.y - last.y) * scale < SHORTEST) return;
    const points = [...this.#points, loose];
    [this.#points, this.#loose] = [points, null];
    if (points.length < KINDS[kind].points) return;
    this.#points = [];
    this.drawn.finished({ kind, points });
  }

  cancel() {
    [this.#points, this.#loose] = [[], null];
    this.drawn.changed();
  }

  /** Whether the next point begins a line, rather than goes on with one. */
  get #startsLine() {
    return this.#points.length === 0 || (this.kind === "cardiothoracic_ratio" && this.#points.length === 2);
  }

  /**
   * Return where a point is placed: within the image and, for a width, at the height of the other end.
   * @param {Point} point
   * @returns {Point}
   */
  #placed(point) {
    const isEnd = this.kind === "cardiothoracic_ratio" && !this.#startsLine;
    const start = isEnd ? this.#points.at(-1) : null;
    return { x: clamped(point.x, this.image.width), y: start ? start.y : clamped(point.y, this.image.height) };
  }
}

/** @param {number} value @param {number} end */
function clamped(value, end) {
  return Math.min(end, Math.max(0, value));
}
