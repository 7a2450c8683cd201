// Small pictures of the radiographs of the list. Each is fetched when its row has come into sight, one at a time, so that
// they delay no new radiograph; it is in memory only while its row is on the page.

import { request } from "./api.js";

const PIXELS = 80; // wide: twice the size on the screen, for screens of double density
const REST_MS = 300; // a radiograph that is opened at once must not wait until a small picture is made

/** @type {Map<string, string>} */
const addresses = new Map(); // of the pictures in memory, by id of the radiograph
/** @type {Set<HTMLImageElement>} */
const waiting = new Set();
let isFetching = false;

const observer = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) {
    if (!(target instanceof HTMLImageElement)) continue;
    if (isIntersecting) waiting.add(target);
    else waiting.delete(target);
  }
  setTimeout(fetchWaiting, REST_MS);
});

/**
 * Create the picture of a radiograph.
 * @param {string} id
 */
export function thumbnail(id) {
  const image = document.createElement("img");
  [image.className, image.alt, image.dataset.id] = ["thumbnail", "", id];
  const address = addresses.get(id);
  if (address) image.src = address;
  else observer.observe(image);
  return image;
}

/**
 * Forget the pictures of all other radiographs.
 * @param {string[]} ids
 */
export function keepThumbnails(ids) {
  for (const [id, address] of addresses) {
    if (ids.includes(id)) continue;
    URL.revokeObjectURL(address);
    addresses.delete(id);
  }
}

async function fetchWaiting() {
  if (isFetching) return;
  isFetching = true;
  for (const image of waiting) {
    waiting.delete(image);
    if (image.isConnected) await show(image);
  }
  isFetching = false;
}

/** @param {HTMLImageElement} image */
async function show(image) {
  const id = image.dataset.id ?? "";
  try {
    const answer = await request(`predictions/${encodeURIComponent(id)}/image.png?width=${PIXELS}`);
    const address = addresses.get(id) ?? URL.createObjectURL(await answer.blob());
    addresses.set(id, address);
    image.src = address;
    observer.unobserve(image);
  } catch {
    // the row stays without a picture until it comes into sight again
  }
}
