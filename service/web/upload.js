// DICOM files sent by drop or dialog: each its own request, with a bar of its own, and what the service says of it.

import { url } from "./api.js";
import { byId, element } from "./element.js";
import { PRIORITIES } from "./findings.js";
import { authorization, key, renew } from "./key.js";
import { lines, Problem, UNREACHABLE } from "./problem.js";
import { say } from "./toast.js";

const TOGETHER = 3; // requests at once

const waiting = [];
let running = 0;

export function prepareUploads() {
  byId("upload-button").addEventListener("click", chooseFiles);
  byId("uploads-close").addEventListener("click", () => {
    byId("uploads").hidden = true;
    byId("upload-button").focus();
  });
  byId("files").addEventListener("change", (event) => {
    send([...event.target.files]);
    event.target.value = "";
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    byId("drop").hidden = !event.dataTransfer.types.includes("Files");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) byId("drop").hidden = true; // out of the window
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").hidden = true;
    send([...event.dataTransfer.files]);
  });
}

export function chooseFiles() {
  byId("files").click();
}

function send(files) {
  if (!files.length) return;
  byId("uploads").hidden = false;
  for (const file of files) {
    const line = new Line(file.name);
    byId("upload-list").prepend(line.item);
    waiting.push({ file, line });
  }
  while (running < TOGETHER && waiting.length) work();
}

async function work() {
  running += 1;
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    try {
      next.line.accepted(await post(next.file, next.line));
    } catch (error) {
      next.line.refused(error instanceof Problem ? lines(error) : [`Unexpected: ${error.message}`]);
    }
  }
  running -= 1;
}

async function post(file, line) {
  for (;;) {
    const sent = key();
    const { status, body } = await once(file, line);
    if (status === 401) await renew(sent);
    else if (status === 200) return body;
    else throw new Problem({ status, title: `Status ${status}`, ...body });
  }
}

/** fetch does not tell how much has been sent; an XMLHttpRequest does. */
function once(file, line) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url("predictions"));
    request.setRequestHeader("Content-Type", "application/dicom");
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => line.progress(event.loaded / event.total));
    request.addEventListener("load", () => resolve({ status: request.status, body: parsed(request.responseText) }));
    request.addEventListener("error", () => reject(new Problem(UNREACHABLE)));
    request.send(file);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** What the list of sent files says of one. */
class Line {
  constructor(name) {
    this.name = name;
    this.bar = element("progress", { max: "1", value: "0", "aria-label": `${name}, sent` });
    this.status = element("div", { class: "status" }, "Waiting");
    this.item = element("li", {}, element("span", { class: "file" }, name), this.bar, this.status);
  }

  progress(share) {
    this.bar.value = share;
    this.status.textContent = share < 1 ? `Sending, ${Math.round(100 * share)} %` : "Reading";
  }

  accepted(prediction) {
    this.bar.remove();
    this.item.dataset.state = "accepted";
    const link = element("a", { href: `#/${prediction.id}` }, `${PRIORITIES[prediction.priority]}: open`);
    this.status.replaceChildren(link);
  }

  refused(reasons) {
    this.bar.remove();
    this.item.dataset.state = "refused";
    const [title, ...details] = reasons;
    const list = element("ul", {}, ...details.map((detail) => element("li", {}, detail)));
    this.status.replaceChildren(`Refused: ${title}`, list);
    say(`${this.name} was refused: ${title}`, "problem");
  }
}
