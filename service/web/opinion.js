// Opinions on the findings: each reader may agree or disagree, and press the same button again to withdraw it. The
// service keeps who said what and when.

import { json, post } from "./api.js";
import { byId, element } from "./element.js";
import { label } from "./findings.js";
import { words } from "./problem.js";
import { askedReader, reader } from "./reader.js";
import { say } from "./toast.js";

/**
 * @typedef {"agree" | "disagree"} Verdict
 * @typedef {{ label: string, opinion: Verdict, by: string, at: string }} Opinion
 * @typedef {{ name: string, verdict: Verdict, button: HTMLElement }} Choice
 */

/** @type {Record<Verdict, { sign: string, word: string }>} */
const VERDICTS = { agree: { sign: "✓", word: "Agree" }, disagree: { sign: "✗", word: "Disagree" } };

export class Opinions {
  /** @type {string | null} */
  #id = null;
  /** @type {Opinion[]} */
  #items = [];
  /** @type {Choice[]} */
  #choices = [];

  constructor() {
    byId("reader").addEventListener("input", () => this.#update());
  }

  /**
   * Offer the buttons for a prediction, in the order of its bars, and fetch what readers have said.
   * @param {string} id
   */
  async open(id) {
    [this.#id, this.#items, this.#choices] = [id, [], []];
    const bars = [...byId("bars").children];
    byId("judged").style.setProperty("--rows", String(bars.length + 1));
    byId("opinions").replaceChildren(...bars.map((bar) => this.#line(bar)));
    try {
      this.#show(id, await json(path(id)));
    } catch (error) {
      if (this.#id === id) say(words(error), "problem");
    }
  }

  /**
   * The line beside a bar; an empty one beside a label that training never saw.
   * @param {Element} bar
   */
  #line(bar) {
    const name = bar.querySelector("[data-label]")?.getAttribute("data-label");
    if (!name) return element("li", { class: "none" });
    const choices = /** @type {const} */ (["agree", "disagree"]).map((verdict) => {
      const button = element("button", { type: "button", title: VERDICTS[verdict].word });
      button.addEventListener("click", () => this.#choose(name, verdict));
      return { name, verdict, button };
    });
    this.#choices.push(...choices);
    choices.forEach((choice) => this.#updateOne(choice));
    const title = element("span", { class: "finding-name" }, label(name));
    return element("li", { class: bar.className }, title, ...choices.map((choice) => choice.button));
  }

  /**
   * @param {string} name  label of the finding
   * @param {Verdict} verdict
   */
  async #choose(name, verdict) {
    const id = this.#id;
    const by = await askedReader();
    if (id === null || by === null || this.#id !== id) return;
    if (!by) {
      byId("reader").focus();
      say("Enter your initials first: an opinion is kept with its reader");
      return;
    }
    const opinion = this.#mine(name) === verdict ? null : verdict;
    try {
      this.#show(id, await json(path(id), post({ label: name, opinion, by })));
      say(opinion ? `${label(name)}: you ${opinion}` : `${label(name)}: opinion withdrawn`);
    } catch (error) {
      say(words(error), "problem");
    }
  }

  /**
   * @param {string} id
   * @param {{ items: Opinion[] }} answer
   */
  #show(id, { items }) {
    if (this.#id !== id) return;
    this.#items = items;
    this.#update();
  }

  #update() {
    this.#choices.forEach((choice) => this.#updateOne(choice));
  }

  /** @param {Choice} choice */
  #updateOne({ name, verdict, button }) {
    const others = this.#items.filter((item) => item.label === name && item.opinion === verdict && item.by !== reader());
    const { sign, word } = VERDICTS[verdict];
    const count = others.length ? ` ${others.length}` : "";
    button.setAttribute("aria-pressed", String(this.#mine(name) === verdict));
    button.title = [word, others.length && `also ${others.map((item) => item.by).join(", ")}`].filter(Boolean).join("; ");
    button.replaceChildren(
      element("span", { "aria-hidden": "true" }, `${sign}${count}`),
      element("span", { class: "unseen" }, `${word}: ${label(name)}${count && `, as${count} other${others.length > 1 ? "s" : ""}`}`),
    );
  }

  /** @param {string} name */
  #mine(name) {
    return this.#items.find((item) => item.label === name && item.by === reader())?.opinion ?? null;
  }
}

/** @param {string} id */
function path(id) {
  return `predictions/${encodeURIComponent(id)}/opinions`;
}
