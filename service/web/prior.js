// The prior: an earlier radiograph of the same patient, beside the open one.

import { age, studyTime } from "./age.js";
import { json, radiograph } from "./api.js";
import { showChanges } from "./changes.js";
import { showPressed } from "./controls.js";
import { Display } from "./display.js";
import { byId, element } from "./element.js";
import { howMuchEarlier } from "./interval.js";
import { hasCommonScale } from "./linked.js";
import { personName } from "./person_name.js";
import { words } from "./problem.js";
import { thumbnail } from "./thumbnail.js";
import { say } from "./toast.js";

/**
 * @import { Entry, Patient } from "./api.js"
 * @import { Change } from "./events.js"
 * @import { Tools } from "./tools.js"
 */

export class Prior {
  /** @type {Entry | null} */
  #current = null;
  /** @type {Entry[]} */
  #choice = []; // the latest first
  /** @type {string | null} */
  #shown = null; // ID of the prior on the screen, or on its way there
  /** @type {Promise<void>} */
  #offered = Promise.resolve(); // until the choice is known
  #abort = new AbortController();

  /** @param {Tools} tools */
  constructor(tools) {
    this.tools = tools;
  }

  /**
   * Offer the priors of the radiograph that has been opened; none without one.
   * @param {Entry | null} entry
   */
  offer(entry) {
    this.#offered = this.#choose(entry);
  }

  /** @param {Entry | null} entry */
  async #choose(entry) {
    this.close();
    [this.#current, this.#choice] = [entry, []];
    this.#showChoice();
    if (!entry?.other_studies) return;
    try {
      const choice = await choiceOf(entry);
      if (this.#current?.id === entry.id) this.#choice = choice;
      this.#showChoice();
    } catch (error) {
      if (this.#current?.id === entry.id) say(`The priors are not known: ${words(error)}`, "problem");
    }
  }

  /** Show the latest prior, or close the one that is shown. */
  async toggle() {
    if (this.#shown) {
      this.close();
      return;
    }
    const current = this.#current;
    await this.#offered;
    if (!current || this.#current !== current || this.#shown) return;
    if (this.#choice.length) await this.open(this.#choice[0]);
    else say(none(current));
  }

  /** @param {Entry} entry */
  async open(entry) {
    this.close();
    this.#shown = entry.id;
    this.#showPressed();
    const { signal } = (this.#abort = new AbortController());
    try {
      const loaded = await radiograph(entry.id, signal);
      const { display } = this.tools;
      if (signal.aborted || !this.#current || !display) return;
      const prior = new Display(loaded, this.tools.appearance);
      this.tools.showBeside(prior);
      const pane = this.tools.stage.panes.find(({ name }) => name === "prior");
      pane?.element.append(caption(entry, this.#current, hasCommonScale(display, prior)));
      showChanges(display.prediction, { prediction: loaded.prediction, entry });
    } catch (error) {
      if (signal.aborted) return;
      this.close();
      say(`The prior cannot be shown: ${words(error)}`, "problem");
    }
  }

  close() {
    this.#abort.abort();
    this.#shown = null;
    this.#showPressed();
    const { display, beside } = this.tools;
    if (!beside) return;
    this.tools.showBeside(null);
    if (display) showChanges(display.prediction, null);
  }

  /**
   * Close a prior that another user deleted, and offer it no more.
   * @param {Change} change
   */
  changed(change) {
    if (change.kind === "deleted") this.#forget(new Set([change.id]));
  }

  /** As `changed`, for those that were deleted while the service could not tell of it. */
  async refresh() {
    await this.#offered;
    const [current, before] = [this.#current, this.#choice];
    if (!current || !before.length) return;
    try {
      const left = new Set((await choiceOf(current)).map(({ id }) => id));
      if (this.#current === current) this.#forget(new Set(before.map(({ id }) => id).filter((id) => !left.has(id))));
    } catch {
      // those that were offered stay
    }
  }

  /** @param {Set<string>} deleted */
  #forget(deleted) {
    if (!this.#choice.some(({ id }) => deleted.has(id))) return;
    this.#choice = this.#choice.filter(({ id }) => !deleted.has(id));
    if (this.#shown && deleted.has(this.#shown)) this.close();
    this.#showChoice();
  }

  #showChoice() {
    const count = this.#choice.length;
    byId("prior-count").textContent = count > 1 ? ` (${count})` : "";
    document.querySelector('#viewer [data-key="p"]')?.classList.toggle("quiet", !count);
    byId("priors").hidden = !count;
    byId("prior-list").replaceChildren(...this.#choice.map((entry) => this.#option(entry)));
    this.#showPressed();
  }

  #showPressed() {
    showPressed("p", this.#shown !== null);
    for (const button of byId("prior-list").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.id === this.#shown));
    }
  }

  /** @param {Entry} entry */
  #option(entry) {
    const when = element("span", {}, studyTime(entry.study), element("br"), element("span", { class: "quiet" }, about(entry, this.#current)));
    const button = element("button", { type: "button", "data-id": entry.id }, thumbnail(entry.id), when);
    button.addEventListener("click", () => (entry.id === this.#shown ? this.close() : this.open(entry)));
    return element("li", {}, button);
  }
}

/**
 * Return the priors of a radiograph, the latest first.
 * @param {Entry} entry
 * @returns {Promise<Entry[]>}
 */
async function choiceOf(entry) {
  const { items } = await json(`predictions/${encodeURIComponent(entry.id)}/priors`);
  return items;
}

/**
 * Say how much earlier a prior is, and its projection.
 * @param {Entry} entry
 * @param {Entry | null} current
 */
function about(entry, current) {
  return [howMuchEarlier(entry.study.date, current?.study.date ?? ""), entry.view_position].filter(Boolean).join(" · ");
}

/**
 * The text in the corner of the prior: that it is one, from when, and whose.
 * @param {Entry} entry
 * @param {Entry} current
 * @param {boolean} isToScale
 */
function caption(entry, current, isToScale) {
  const { patient, study } = entry;
  const person = [patient.id, patient.sex, age(patient, study.date)].filter(Boolean).join(" · ");
  const lines = [studyTime(study), about(entry, current), personName(patient.name), person];
  const scale = isToScale ? "Same scale in millimetres" : "Fitted to the same height";
  const differing = differences(patient, current.patient).map((text) => element("span", { class: "warning" }, text));
  return element(
    "p",
    { class: "corner caption" },
    element("span", { class: "prior-word" }, "Prior"),
    ...lines.filter(Boolean).map((text) => element("span", {}, text)),
    element("span", { class: "quiet" }, scale),
    ...differing,
  );
}

/**
 * Say what is not alike although the patient ID is.
 * @param {Patient} prior
 * @param {Patient} current
 */
function differences(prior, current) {
  const name = (/** @type {Patient} */ patient) => personName(patient.name).toLocaleLowerCase();
  const conflict = (/** @type {"sex" | "birth_date"} */ part) => prior[part] && current[part] && prior[part] !== current[part];
  const parts = [name(prior) !== name(current) && "name", conflict("sex") && "sex", conflict("birth_date") && "date of birth"];
  return parts.filter(Boolean).map((part) => `Other ${part} under the same patient ID`);
}

/** @param {Entry} entry */
function none({ patient, other_studies: count }) {
  if (!patient.id) return "No prior: the file states no patient ID";
  return count ? "No prior: no other study of this patient here is known to be earlier" : "No prior of this patient here";
}
