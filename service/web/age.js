// Ages, dates and waiting times as text.

/** @import { Patient, Study } from "./api.js" */

/** @type {Record<string, string>} */
const UNITS = { D: "d", W: "wk", M: "mo", Y: "y" };

/**
 * Return Patient Age (`045Y`, PS3.5 6.2 AS) if it is valid, otherwise the age computed from the date of birth and the
 * study date (`YYYYMMDD`), otherwise an empty string.
 * @param {Pick<Patient, "age" | "birth_date">} patient
 * @param {string} studyDate
 */
export function age(patient, studyDate) {
  const [, number, unit] = /^(\d{3})([DWMY])$/.exec(patient.age) ?? [];
  if (number !== undefined && unit !== undefined) return `${Number(number)} ${UNITS[unit]}`;
  const [birth, study] = [parsedDate(patient.birth_date), parsedDate(studyDate)];
  if (!birth || !study) return "";
  const years = study.year - birth.year - (study.monthAndDay < birth.monthAndDay ? 1 : 0);
  return years >= 0 ? `${years} y` : "";
}

/** @param {string} text */
function parsedDate(text) {
  const match = /^(\d{4})(\d{4})$/.exec(text);
  return match && { year: Number(match[1]), monthAndDay: Number(match[2]) };
}

/**
 * Format `20260102` as `2026-01-02`; return any other text unchanged.
 * @param {string} text
 */
export function date(text) {
  return /^\d{8}$/.test(text) ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : text;
}

/**
 * Format `093015.25` as `09:30`; return an empty string for any other text.
 * @param {string} text
 */
export function time(text) {
  return /^\d{4}/.test(text) ? `${text.slice(0, 2)}:${text.slice(2, 4)}` : "";
}

/**
 * Format study date and time, `20260102` and `153012.25`, as `2026-01-02 15:30`.
 * @param {Pick<Study, "date" | "time">} study
 */
export function studyTime(study) {
  return [date(study.date), time(study.time)].filter(Boolean).join(" ");
}

/**
 * Format a duration in its two largest units of days, hours and minutes.
 * @param {number} milliseconds
 */
export function duration(milliseconds) {
  const minutes = Math.max(0, Math.floor(milliseconds / 60_000));
  if (minutes < 60) return minutes < 1 ? "< 1 min" : `${minutes} min`;
  const [hours, days] = [Math.floor(minutes / 60), Math.floor(minutes / 1440)];
  return days < 1 ? `${hours} h ${String(minutes % 60).padStart(2, "0")} min` : `${days} d ${hours % 24} h`;
}
