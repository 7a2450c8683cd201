// Keys that move, turn and window the picture on the stage.

import { mirrored, rotated } from "./turn.js";

/**
 * @import { Actions } from "./keys.js"
 * @import { Listener, Stage } from "./stage.js"
 * @import { Turn } from "./turn.js"
 */

const KEY_FACTOR = 1.25; // zoom for each press of a key
const PAN = 40; // screen pixels for each press of a key
const WINDOW = 16; // pixels of a drag that changes the window as much as one press of a key

/**
 * @param {Stage} stage
 * @returns {Actions}
 */
export function stageActions(stage) {
  return {
    ArrowLeft: arrow(stage, -1, 0), ArrowRight: arrow(stage, 1, 0),
    ArrowUp: arrow(stage, 0, -1), ArrowDown: arrow(stage, 0, 1),
    "+": () => stage.zoom(KEY_FACTOR), "=": () => stage.zoom(KEY_FACTOR), "-": () => stage.zoom(1 / KEY_FACTOR),
    f: () => stage.fit(), 1: () => stage.actual(),
    t: () => turn(stage, rotated(stage.turn)), x: () => turn(stage, mirrored(stage.turn)),
  };
}

/**
 * Change the window as a drag does.
 * @param {Listener} listener
 * @param {number} dx
 * @param {number} dy
 */
export function changeWindow(listener, dx, dy) {
  const start = listener.window();
  if (start) listener.dragged(dx, dy, start);
}

/**
 * @param {Stage} stage
 * @param {Turn} to
 */
function turn(stage, to) {
  stage.turn = to;
  stage.placeAgain();
}

/**
 * Pan, or with Shift change the window as a drag in the same direction does.
 * @param {Stage} stage
 * @param {number} right
 * @param {number} down
 * @returns {(event?: KeyboardEvent) => void}
 */
function arrow(stage, right, down) {
  return (event) => {
    if (event?.shiftKey) changeWindow(stage.listener, WINDOW * right, WINDOW * down);
    else stage.pan(-PAN * devicePixelRatio * right, -PAN * devicePixelRatio * down);
  };
}
