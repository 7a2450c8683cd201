// Problem documents of the service (RFC 9457) as text.

/**
 * @typedef {object} ProblemDocument
 * @property {number} [status]
 * @property {string} [title]
 * @property {string} [detail]
 * @property {string} [code]
 * @property {{ message: string }[] | null} [errors]
 */

export class Problem extends Error {
  /** @param {ProblemDocument} document */
  constructor({ status = 0, title = "", detail = "", code = "", errors = null }) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.code = code;
    this.errors = errors ?? [];
  }
}

/** @type {ProblemDocument} */
export const UNREACHABLE = {
  title: "The service does not answer",
  detail: "Check that it is running and that this computer can reach it, then try again. Nothing was lost.",
};

/**
 * Return the problem that an unsuccessful response describes; if it describes none, name its status.
 * @param {Response} response
 */
export async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return new Problem({ status: response.status, title: `Status ${response.status}`, ...body });
}

/**
 * Return the title followed by all reasons.
 * @param {Problem} problem
 */
export function lines(problem) {
  const reasons = problem.errors.length ? problem.errors.map((error) => error.message) : [problem.detail];
  return [problem.title, ...reasons].filter(Boolean);
}

/**
 * Describe an error in one line.
 * @param {unknown} error
 */
export function words(error) {
  return allLines(error).join(": ");
}

/**
 * Describe an error in several lines, the title first.
 * @param {unknown} error
 */
export function allLines(error) {
  if (error instanceof Problem) return lines(error);
  return [`Unexpected error: ${error instanceof Error ? error.message : String(error)}`];
}
