// Server-sent events, read with fetch because EventSource cannot send an API key.

import { request } from "./api.js";

/**
 * @import { Priority } from "./api.js"
 *
 * @typedef {{ event: string, data: string }} ServerEvent
 * @typedef {{ kind: string, id: string, priority: Priority }} Change
 * @typedef {"live" | "waiting"} ConnectionState
 */

const SILENCE_MS = 45_000; // three comment lines are overdue
const PAUSES_MS = [500, 1000, 2000, 5000, 10_000];

/**
 * Follow the changes of the worklist for ever; a connection that fails or falls silent is opened again.
 * @param {(change: Change) => void} changed
 * @param {(state: ConnectionState) => void} connected
 */
export async function follow(changed, connected) {
  for (let failures = 0; ; failures++) {
    try {
      const watchdog = new Watchdog();
      watchdog.restart();
      const response = await request("events", { signal: watchdog.signal });
      await read(response, watchdog, changed, () => {
        failures = -1;
        connected("live");
      });
    } catch {
      // the stream is opened again, whatever the error
    }
    connected("waiting");
    await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[Math.min(failures + 1, PAUSES_MS.length - 1)]));
  }
}

/** Splits the text of a stream into events. Comments are ignored. */
export class Parser {
  #rest = "";

  /**
   * Return the events that the next part of the text completes.
   * @param {string} text
   */
  push(text) {
    const blocks = (this.#rest + text).replaceAll("\r\n", "\n").split("\n\n");
    this.#rest = blocks.pop() ?? "";
    return blocks.map(parse).filter((event) => event.data !== "");
  }
}

/**
 * @param {string} block
 * @returns {ServerEvent}
 */
function parse(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value = ""] = /^(\w+):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
  return { event, data: data.join("\n") };
}

/**
 * Read a stream to its end. From its first bytes on, the service reports every change.
 * @param {Response} response
 * @param {Watchdog} watchdog
 * @param {(change: Change) => void} changed
 * @param {() => void} opened
 */
async function read(response, watchdog, changed, opened) {
  if (!response.body) return;
  const parser = new Parser();
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  for (let first = true; ; first = false) {
    const { done, value } = await reader.read();
    if (done) return;
    watchdog.restart();
    if (first) opened();
    for (const event of parser.push(decoder.decode(value, { stream: true }))) {
      if (event.event === "changed") changed(JSON.parse(event.data));
    }
  }
}

/** Aborts a connection that has been silent for too long. */
class Watchdog {
  #controller = new AbortController();
  #timer = 0;

  get signal() {
    return this.#controller.signal;
  }

  restart() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), SILENCE_MS);
  }
}
