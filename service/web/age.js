// How old the patient was, as the record has it.

const UNITS = { D: "d", W: "wk", M: "mo", Y: "y" };

/** Patient Age (`045Y`, PS3.5 6.2 AS), else from birth to study (`YYYYMMDD`), else nothing. */
export function age(patient, studyDate) {
  const stated = /^(\d{3})([DWMY])$/.exec(patient.age);
  if (stated) return `${Number(stated[1])} ${UNITS[stated[2]]}`;
  const [birth, study] = [patient.birth_date, studyDate].map((text) => /^(\d{4})(\d\d)(\d\d)$/.exec(text ?? ""));
  if (!birth || !study) return "";
  const [from, to] = [birth, study].map(([, year, month, day]) => [Number(year), Number(month + day)]);
  const years = to[0] - from[0] - (to[1] < from[1] ? 1 : 0);
  return years >= 0 ? `${years} y` : "";
}

/** `20260102` as `2026-01-02`; anything else as it is. */
export function date(text) {
  return /^\d{8}$/.test(text) ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : text;
}

/** Milliseconds waiting, in the two units that matter. */
export function waiting(milliseconds) {
  const minutes = Math.max(0, Math.floor(milliseconds / 60_000));
  if (minutes < 60) return minutes < 1 ? "< 1 min" : `${minutes} min`;
  const [hours, days] = [Math.floor(minutes / 60), Math.floor(minutes / 1440)];
  return days < 1 ? `${hours} h ${String(minutes % 60).padStart(2, "0")} min` : `${days} d ${hours % 24} h`;
}
