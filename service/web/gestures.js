// The wheel, which zooms and, with Shift, changes the window; and two fingers, which zoom and pan.

/**
 * @import { Point } from "./view.js"
 *
 * @typedef {object} Gestures
 * @property {(event: MouseEvent) => Point} at  device pixels of the pane under the pointer
 * @property {(factor: number, at: Point) => void} zoom
 * @property {(dx: number, dy: number) => void} pan
 * @property {(dx: number, dy: number) => void} window
 * @property {() => void} pinched  the second finger was put down: what the first one began is over
 */

const WHEEL_FACTOR = 1.0015; // zoom for each unit of the wheel
const WHEEL_WINDOW = 0.2; // pixels of a drag that changes the window as much as one unit of the wheel

/**
 * @param {HTMLElement} element
 * @param {Gestures} gestures
 */
export function listenToGestures(element, gestures) {
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const turned = unit * (event.deltaY || event.deltaX); // with Shift some systems report the wheel as horizontal
    // A pinch of a touch pad arrives as a wheel with Ctrl, so Ctrl alone must zoom.
    if (!event.shiftKey) gestures.zoom(WHEEL_FACTOR ** -turned, gestures.at(event));
    else if (event.ctrlKey) gestures.window(0, WHEEL_WINDOW * turned);
    else gestures.window(-WHEEL_WINDOW * turned, 0);
  }, { passive: false });
  /** @type {Map<number, Point>} */
  const fingers = new Map();
  element.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch" || fingers.size === 2) return;
    fingers.set(event.pointerId, gestures.at(event));
    if (fingers.size === 2) {
      gestures.pinched();
      event.stopImmediatePropagation();
    }
  });
  element.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = pair(fingers);
    fingers.set(event.pointerId, gestures.at(event));
    const after = pair(fingers);
    if (!before || !after) return;
    gestures.pan(after.middle.x - before.middle.x, after.middle.y - before.middle.y);
    if (before.distance > 0) gestures.zoom(after.distance / before.distance, after.middle);
  });
  for (const type of ["pointerup", "pointercancel"]) {
    element.addEventListener(type, (event) => event instanceof PointerEvent && fingers.delete(event.pointerId));
  }
}

/**
 * Return the middle and the distance of two fingers; null if there are not two.
 * @param {Map<number, Point>} fingers
 */
function pair(fingers) {
  const [one, other] = fingers.values();
  if (!other) return null;
  const middle = { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
  return { middle, distance: Math.hypot(one.x - other.x, one.y - other.y) };
}
