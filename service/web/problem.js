// Problems of the service (RFC 9457) in words.

export class Problem extends Error {
  constructor({ status = 0, title = "", detail = "", code = "", errors = [] }) {
    super(detail || title);
    Object.assign(this, { status, title, detail, code, errors });
  }
}

export const UNREACHABLE = {
  title: "The service does not answer",
  detail: "Is it running, and is the network there? Nothing was lost; try again.",
};

/** What an answer that is no success says; anything but a problem says its status. */
export async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return new Problem({ status: response.status, title: `Status ${response.status}`, ...body });
}

/** Title first, then every reason. */
export function lines(problem) {
  const reasons = problem.errors?.length ? problem.errors.map((error) => error.message) : [problem.detail];
  return [problem.title, ...reasons].filter(Boolean);
}

export function words(error) {
  return error instanceof Problem ? lines(error).join(": ") : `Unexpected: ${error.message}`;
}
