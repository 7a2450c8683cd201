// Angles on the image.

/** @import { Point } from "./view.js" */

/**
 * Return the angle at the second of three points, in degrees from 0 to 180.
 * @param {Point[]} points
 * @param {number} aspect  height of a pixel over its width
 */
export function angle([one, vertex, other], aspect) {
  const [ux, uy] = [one.x - vertex.x, (one.y - vertex.y) * aspect];
  const [vx, vy] = [other.x - vertex.x, (other.y - vertex.y) * aspect];
  return (Math.atan2(Math.abs(ux * vy - uy * vx), ux * vx + uy * vy) * 180) / Math.PI;
}
