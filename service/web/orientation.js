// Marks at the edges of the image from Patient Orientation, PS3.3 C.7.6.1.1.1.

const OPPOSITE = { A: "P", P: "A", L: "R", R: "L", H: "F", F: "H" };

/** @param orientation [towards the right edge, towards the bottom], as the file has them; null: no marks */
export function marks(orientation) {
  const [right, bottom] = orientation ?? ["", ""];
  return { right, bottom, left: opposite(right), top: opposite(bottom) };
}

function opposite(direction) {
  return [...direction].map((letter) => OPPOSITE[letter] ?? "").join("");
}
