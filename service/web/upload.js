// Uploads of DICOM files that were dropped or chosen: one request and one progress bar for each file.

import { url } from "./api.js";
import { byId, element } from "./element.js";
import { PRIORITIES } from "./findings.js";
import { authorization, key, renew } from "./key.js";
import { allLines, Problem, UNREACHABLE, words } from "./problem.js";
import { say } from "./toast.js";

/** @import { Prediction } from "./api.js" */

const CONCURRENCY = 3; // requests at once
const SAMPLES = ["pneumothorax", "effusion", "cardiomegaly", "nodule_monochrome1", "normal"]; // of web/samples

/** @type {{ file: File, line: Line }[]} */
const queue = [];
let running = 0;

export function prepareUploads() {
  byId("upload-button").addEventListener("click", chooseFiles);
  byId("samples-button").addEventListener("click", () => sendSamples().catch((error) => say(words(error), "problem")));
  byId("uploads-close").addEventListener("click", () => {
    byId("uploads").hidden = true;
    byId("upload-button").focus();
  });
  const input = byId("files", HTMLInputElement);
  input.addEventListener("change", () => {
    send([...(input.files ?? [])]);
    input.value = "";
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    byId("drop").hidden = !event.dataTransfer?.types.includes("Files");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) byId("drop").hidden = true; // the pointer left the browser's window
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").hidden = true;
    send([...(event.dataTransfer?.files ?? [])]);
  });
}

export function chooseFiles() {
  byId("files").click();
}

/** Upload the phantoms that come with the service. */
async function sendSamples() {
  send(await Promise.all(SAMPLES.map(async (name) => {
    const answer = await fetch(new URL(`samples/${name}.dcm`, import.meta.url));
    if (!answer.ok) throw new Problem({ title: "The samples are not part of this installation", detail: "Add DICOM files instead." });
    return new File([await answer.blob()], `${name}.dcm`);
  })));
}

/** @param {File[]} files */
function send(files) {
  if (!files.length) return;
  byId("uploads").hidden = false;
  for (const file of files) {
    const line = new Line(file.name);
    byId("upload-list").prepend(line.item);
    queue.push({ file, line });
  }
  while (running < CONCURRENCY && queue.length) work();
}

async function work() {
  running += 1;
  for (let next = queue.shift(); next; next = queue.shift()) {
    try {
      next.line.showAccepted(await post(next.file, next.line));
    } catch (error) {
      next.line.showRefused(allLines(error));
    }
  }
  running -= 1;
}

/**
 * @param {File} file
 * @param {Line} line
 * @returns {Promise<Prediction>}
 */
async function post(file, line) {
  for (;;) {
    const sentKey = key();
    const { status, body } = await attempt(file, line);
    if (status === 200) return body;
    if (status !== 401) throw new Problem({ status, title: `Status ${status}`, ...body });
    await renew(sentKey);
  }
}

/**
 * Send a file once, by XMLHttpRequest because fetch does not report the progress of an upload.
 * @param {File} file
 * @param {Line} line
 * @returns {Promise<{ status: number, body: any }>}
 */
function attempt(file, line) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url("predictions"));
    request.setRequestHeader("Content-Type", "application/dicom");
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => line.showProgress(event.loaded / event.total));
    request.addEventListener("load", () => resolve({ status: request.status, body: parsed(request.responseText) }));
    request.addEventListener("error", () => reject(new Problem(UNREACHABLE)));
    request.send(file);
  });
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** The line of one file in the list of uploads. */
class Line {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    this.bar = document.createElement("progress");
    [this.bar.max, this.bar.value, this.bar.ariaLabel] = [1, 0, `Upload of ${name}`];
    this.status = element("div", { class: "status" }, "Waiting");
    this.item = element("li", {}, element("span", { class: "file" }, name), this.bar, this.status);
  }

  /** @param {number} share */
  showProgress(share) {
    this.bar.value = share;
    this.status.textContent = share < 1 ? `Sending, ${Math.round(100 * share)} %` : "Analysing";
  }

  /** @param {Prediction} prediction */
  showAccepted(prediction) {
    this.bar.remove();
    this.item.dataset.state = "accepted";
    const link = element("a", { href: `#/${prediction.id}` }, `${PRIORITIES[prediction.priority]}: open`);
    this.status.replaceChildren(link);
  }

  /** @param {string[]} reasons  the title first */
  showRefused(reasons) {
    this.bar.remove();
    this.item.dataset.state = "refused";
    const [title, ...details] = reasons;
    const list = element("ul", {}, ...details.map((detail) => element("li", {}, detail)));
    this.status.replaceChildren(`Refused: ${title}`, list);
    say(`${this.name} was refused: ${title}`, "problem");
  }
}
