// Server-sent events read with fetch, as EventSource cannot send a key.

import { request } from "./api.js";

const PATIENCE = 45_000; // three comment lines that did not come
const PAUSES = [500, 1000, 2000, 5000, 10_000];

/** Call `changed(event)` for each event and `state("live" | "waiting")`, over one connection after another. */
export async function follow(changed, state) {
  for (let failures = 0; ; failures++) {
    try {
      const watch = new Watch();
      watch.seen();
      const response = await request("events", { signal: watch.signal });
      await read(response.body, watch, changed, () => {
        failures = -1;
        state("live");
      });
    } catch {
      // whatever broke the stream, it is opened again
    }
    state("waiting");
    await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(failures + 1, PAUSES.length - 1)]));
  }
}

/** Splits text as it comes into events, {event, data}; comments are passed over. */
export class Parser {
  #rest = "";

  push(text) {
    const blocks = (this.#rest + text).replaceAll("\r\n", "\n").split("\n\n");
    this.#rest = blocks.pop();
    return blocks.map(event).filter((one) => one.data !== "");
  }
}

function event(block) {
  const found = { event: "message", data: [] };
  for (const line of block.split("\n")) {
    const [, field, value] = /^(\w+):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") found.event = value;
    if (field === "data") found.data.push(value);
  }
  return { event: found.event, data: found.data.join("\n") };
}

/** The first thing that comes says that from now on every change is told. */
async function read(body, watch, changed, listening) {
  const parser = new Parser();
  let first = true;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    watch.seen();
    if (first) listening();
    first = false;
    for (const one of parser.push(value)) if (one.event === "changed") changed(JSON.parse(one.data));
  }
}

/** Aborts a connection on which nothing comes any more. */
class Watch {
  #controller = new AbortController();
  #timer = 0;

  get signal() {
    return this.#controller.signal;
  }

  seen() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), PATIENCE);
  }
}
