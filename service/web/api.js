// The service's interface: every request goes to where the page came from, with the key if there is one.

import { authorization, key, renew } from "./key.js";
import { Problem, problemOf, UNREACHABLE } from "./problem.js";

const ROOT = new URL("../v1/", import.meta.url);

export function url(path) {
  return new URL(path, ROOT);
}

/** Send a request, again after a new key where one is wanted; an answer that is no success is thrown as a Problem. */
export async function request(path, options = {}) {
  for (;;) {
    const sent = key();
    const headers = { ...options.headers, ...authorization() };
    const sending = { ...options, headers, cache: "no-store" }; // nothing of a patient on the browser's disk
    const response = await fetch(url(path), sending).catch((error) => {
      throw error.name === "AbortError" ? error : new Problem(UNREACHABLE);
    });
    if (response.ok) return response;
    if (response.status !== 401) throw await problemOf(response);
    await renew(sent);
  }
}

export async function json(path, options) {
  return (await request(path, options)).json();
}

/** A page of the worklist; asked for with a body, as a search holds a patient's name and addresses are kept in logs. */
export function worklist(filters, page) {
  return json("worklist/search", post({ ...filters, ...page }));
}

export function entry(id) {
  return json(`worklist/${encodeURIComponent(id)}`);
}

export function markRead(id, read, by) {
  const body = by ? { read, by } : { read };
  return json(`predictions/${encodeURIComponent(id)}`, { ...post(body), method: "PATCH" });
}

/** What the viewer shows of one radiograph and never changes. */
export async function radiograph(id, signal) {
  const of = `predictions/${encodeURIComponent(id)}`;
  const [prediction, pixels, maps] = await Promise.all([
    json(of, { signal }), pixelsOf(`${of}/pixels`, { signal }), json(`${of}/maps.json`, { signal }),
  ]);
  return { prediction, maps, ...pixels };
}

export function post(body) {
  return { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
}

/** Save what a request gives as a file. */
export async function save(name, path, options) {
  const address = URL.createObjectURL(await (await request(path, options)).blob());
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

async function pixelsOf(path, options) {
  const response = await request(path, options);
  const header = JSON.parse(response.headers.get("X-Pixels"));
  const bytes = await response.arrayBuffer();
  return { header, values: new Uint16Array(bytes) }; // browsers run on little-endian machines
}
