// Letters at the edges of the image from Patient Orientation, PS3.3 C.7.6.1.1.1.

/** @type {Record<string, string>} */
const OPPOSITE = { A: "P", P: "A", L: "R", R: "L", H: "F", F: "H" };

/**
 * Return the letters of all four edges.
 * @param {[string, string] | null} orientation  directions towards the right and the bottom edge, or null if not stated
 */
export function marks(orientation) {
  const [right, bottom] = orientation ?? ["", ""];
  return { right, bottom, left: opposite(right), top: opposite(bottom) };
}

/** @param {string} direction */
function opposite(direction) {
  return [...direction].map((letter) => OPPOSITE[letter] ?? "").join("");
}
