// Requests to the service, which also serves this page. They carry the API key if there is one.

import { offer } from "./download.js";
import { authorization, key, renew } from "./key.js";
import { boxed, NO_MAPS, TRIAGE_ONLY } from "./presentation.js";
import { Problem, problemOf, UNREACHABLE } from "./problem.js";

/**
 * @typedef {"STAT" | "HIGH" | "ROUTINE"} Priority
 * @typedef {[number, number, number, number]} Box  x0, y0, x1, y1, exclusive end
 * @typedef {{ name: string, version: string, sha256: string }} Model
 * @typedef {{ name: string, id: string, sex: string, age: string, birth_date: string }} Patient
 * @typedef {{ date: string, time: string, description: string }} Study
 * @typedef {{ at: string, by: string }} ReadMark
 * @typedef {{ requested: boolean, at: string | null, by: string }} Acknowledgement
 *
 * @typedef {object} Finding
 * @property {string} label
 * @property {number | null} probability  calibrated probability of the fusion branch; null if training never saw the label
 * @property {number | null} global
 * @property {number | null} local  null also without a second look
 * @property {number | null} threshold
 * @property {number | null} sensitivity
 * @property {number | null} specificity
 * @property {boolean | null} positive
 *
 * @typedef {object} Prediction
 * @property {string} id
 * @property {Priority} priority
 * @property {string[]} reason  labels of the positive findings that made the priority
 * @property {Finding[]} findings
 * @property {Box} box  pixels of the image
 * @property {boolean} second_look  whether the local branch examined the box
 * @property {string[]} flags
 * @property {Model} model
 * @property {string} accession_number
 * @property {Record<string, string>} links
 *
 * @typedef {object} Entry  one radiograph of the worklist
 * @property {string} id
 * @property {string} created
 * @property {Priority} priority
 * @property {string[]} reason  the positive findings that decided the priority
 * @property {string[]} positive
 * @property {string[]} flags
 * @property {Patient} patient
 * @property {Study} study
 * @property {string} accession_number
 * @property {string} series_description
 * @property {string} view_position  PA, AP; empty if the file states none
 * @property {number} other_studies  of the patient
 * @property {Model} model
 * @property {string | null} opened  first time in the viewer
 * @property {ReadMark | null} read
 * @property {Acknowledgement} acknowledgement
 *
 * @typedef {{ q?: string, priority?: string, finding?: string, read?: boolean }} Filters
 * @typedef {"urgency" | "received" | "patient" | "study"} Sort
 * @typedef {{ sort: Sort, descending: boolean, unread_first: boolean }} Order
 * @typedef {{ limit?: number, cursor?: string }} Paging
 *
 * @typedef {object} Page
 * @property {Entry[]} items
 * @property {string | null} next
 * @property {number} total
 * @property {number} counted_to  number that stands for itself and every larger one in `total` and `unread`
 * @property {Record<Priority, number>} unread
 * @property {string | null} oldest_unread_stat
 *
 * @typedef {object} Window  PS3.3 C.11.2.1
 * @property {string} name
 * @property {number} center
 * @property {number} width
 * @property {string} function
 *
 * @typedef {object} PixelHeader  JSON of the header `X-Pixels`
 * @property {number} rows
 * @property {number} columns
 * @property {number} slope
 * @property {number} intercept
 * @property {number | null} padding  stored value of padding pixels
 * @property {boolean} invert
 * @property {Window[]} windows
 * @property {[number, number] | null} spacing  millimetres between rows, between columns
 * @property {string | null} spacing_from  keyword of the attribute
 * @property {number} aspect  height of a pixel over its width
 * @property {[string, string] | null} orientation
 *
 * @typedef {object} Maps
 * @property {Box} content  part of a map that the image covers, in [0, 1]
 * @property {number[][]} heat_map  in [0, 1]
 * @property {Record<string, number[][]>} class_maps  in logits
 * @property {Record<string, number | null>} references  value of each class map that is drawn with half of the opacity
 *
 * @typedef {{ boxes: number, peak: number, class_map?: number, fixed_cell: number }} Localisation  shares of the boxes that radiologists drew
 * @typedef {{ labels: string[], untrained?: string[], sha256: string, localisation?: Localisation }} Card  of the model in use
 * @typedef {{ header: PixelHeader, values: Uint16Array }} Pixels
 * @typedef {Pixels & { prediction: Prediction, maps: Maps }} Radiograph
 */

const ROOT = new URL("../v1/", import.meta.url);

/** @param {string} path */
export function url(path) {
  return new URL(path, ROOT);
}

/**
 * Send a request. After a 401 the user is asked for a key and the request is sent again.
 * @param {string} path
 * @param {RequestInit} [options]
 * @throws {Problem} for any other answer that is not a success
 */
export async function request(path, options = {}) {
  for (;;) {
    const sentKey = key();
    const headers = { ...options.headers, ...authorization() };
    const init = { ...options, headers, cache: /** @type {const} */ ("no-store") }; // keeps patient data off the disk
    const response = await fetch(url(path), init).catch((/** @type {Error} */ error) => {
      throw error.name === "AbortError" ? error : new Problem(UNREACHABLE);
    });
    if (response.ok) return response;
    if (response.status !== 401) throw await problemOf(response);
    await renew(sentKey);
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
export async function json(path, options) {
  return (await request(path, options)).json();
}

/**
 * Fetch one page of the worklist. The search is sent in a body because URLs are logged and it may hold a patient's name.
 * @param {Filters} filters
 * @param {Order} order
 * @param {Paging} paging
 * @returns {Promise<Page>}
 */
export function worklist(filters, order, paging) {
  return json("worklist/search", post({ ...filters, ...order, ...paging }));
}

/**
 * @param {string} id
 * @returns {Promise<Entry>}
 */
export function entry(id) {
  return json(`worklist/${encodeURIComponent(id)}`);
}

/**
 * @param {string} id
 * @param {boolean} read
 * @param {string} by
 * @returns {Promise<Entry>}
 */
export function markRead(id, read, by) {
  const body = by ? { read, by } : { read };
  return json(`predictions/${encodeURIComponent(id)}`, { ...post(body), method: "PATCH" });
}

/**
 * Keep the time at which a radiograph was first shown in the viewer.
 * @param {string} id
 */
export async function markOpened(id) {
  await request(`predictions/${encodeURIComponent(id)}/opened`, { method: "POST" });
}

/**
 * @param {string} id
 * @param {string} by
 * @returns {Promise<Acknowledgement>}
 */
export function acknowledge(id, by) {
  return json(`predictions/${encodeURIComponent(id)}/acknowledgement`, post(by ? { by } : {}));
}

/**
 * Fetch everything the viewer shows of a radiograph that does not change.
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<Radiograph>}
 */
export async function radiograph(id, signal) {
  const path = `predictions/${encodeURIComponent(id)}`;
  const [prediction, pixels, maps] = await Promise.all([
    json(path, { signal }), fetchPixels(`${path}/pixels`, { signal }), TRIAGE_ONLY ? NO_MAPS : json(`${path}/maps.json`, { signal }),
  ]);
  return { prediction: boxed(prediction, pixels.header), maps, ...pixels };
}

/**
 * @param {object} body
 * @returns {RequestInit}
 */
export function post(body) {
  return { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
}

/**
 * Send a request and offer the answer as a download.
 * @param {string} name  name of the file
 * @param {string} path
 * @param {RequestInit} [options]
 */
export async function save(name, path, options) {
  offer(name, await (await request(path, options)).blob());
}

/**
 * @param {string} path
 * @param {RequestInit} options
 * @returns {Promise<Pixels>}
 */
async function fetchPixels(path, options) {
  const response = await request(path, options);
  const header = JSON.parse(response.headers.get("X-Pixels") ?? "null");
  const bytes = await response.arrayBuffer();
  return { header, values: new Uint16Array(bytes) }; // browsers run on little-endian machines
}
