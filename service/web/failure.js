// What the viewer says when a radiograph cannot be shown, and whether to try again.

import { Problem, words } from "./problem.js";

const NOTHING_HERE =
  "There is no radiograph at this address: it was deleted, or the link is incomplete or of another service. "
  + "Press Esc to go to the worklist and search there.";
const TRYING = "The page tries again until it succeeds.";

/**
 * @param {unknown} error
 * @returns {{ text: string, passes: boolean }}  whether it may pass by itself, as when the service is being restarted
 */
export function failure(error) {
  if (!(error instanceof Problem)) return { text: words(error), passes: false };
  if (error.status === 404) return { text: NOTHING_HERE, passes: false };
  const passes = error.status === 0 || error.status === 429 || error.status >= 500;
  return { text: passes ? `${words(error)} ${TRYING}` : words(error), passes };
}
