// The time between two studies in words.

const DAY_MS = 86_400_000;

/**
 * Say how much earlier one study date is than another; empty unless both are dates, `YYYYMMDD`, in that order.
 * @param {string} earlier
 * @param {string} later
 */
export function howMuchEarlier(earlier, later) {
  const [from, to] = [parsed(earlier), parsed(later)];
  if (!from || !to || to < from) return "";
  const days = Math.round((to.getTime() - from.getTime()) / DAY_MS);
  const months = 12 * (to.getUTCFullYear() - from.getUTCFullYear()) + to.getUTCMonth() - from.getUTCMonth()
    - (to.getUTCDate() < from.getUTCDate() ? 1 : 0);
  if (days === 0) return "earlier the same day";
  if (days < 14) return counted(days, "day");
  if (months < 2) return counted(Math.floor(days / 7), "week");
  return months < 24 ? counted(months, "month") : counted(Math.floor(months / 12), "year");
}

/**
 * @param {number} count
 * @param {string} unit
 */
function counted(count, unit) {
  return `${count} ${unit}${count === 1 ? "" : "s"} earlier`;
}

/** @param {string} text */
function parsed(text) {
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)$/.exec(text) ?? [];
  return day === undefined ? null : new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
}
