// The viewer: which radiograph is open, what is known of it, and the way to the next one.

import { acknowledge, entry, markOpened, markRead } from "./api.js";
import { NAMES } from "./colormap.js";
import { fillMenus } from "./controls.js";
import { Display } from "./display.js";
import { byId, element } from "./element.js";
import { listenToExports } from "./exports.js";
import { failure } from "./failure.js";
import { Opinions } from "./opinion.js";
import { showCrop, showMarks, showPanel } from "./panel.js";
import { personName } from "./person_name.js";
import { Prior } from "./prior.js";
import { Problem, words } from "./problem.js";
import { Radiographs } from "./radiographs.js";
import { askedReader, reader } from "./reader.js";
import { isAlerting } from "./row.js";
import { listenToSettings } from "./settings.js";
import { say } from "./toast.js";
import { listenToToolbar } from "./toolbar.js";
import { Tools } from "./tools.js";
import { warnings } from "./warnings.js";

/**
 * @import { Card, Entry, Radiograph } from "./api.js"
 * @import { Change } from "./events.js"
 * @import { Actions } from "./keys.js"
 * @import { Listing } from "./listing.js"
 */

const PREFETCH_MS = 300;
const RETRY_MS = 2000;

export class Viewer {
  /** @type {string | null} */
  id = null;
  /** @type {Entry | null} */
  #entry = null;
  #latest = 0; // how often the entry was fetched again or shown
  #loaded = Promise.resolve(); // once the radiograph is on the screen, or has failed to load
  #radiographs = new Radiographs();
  #opinions = new Opinions();
  #tools;
  #prior;

  /**
   * @param {Listing} listing
   * @param {(id: string) => void} go  opens another radiograph
   * @param {() => void} close  returns to the list
   * @param {Card} card
   */
  constructor(listing, go, close, card) {
    this.#tools = new Tools(card);
    this.#prior = new Prior(this.#tools);
    this.listing = listing;
    this.go = go;
    this.close = close;
    for (const button of document.querySelectorAll("#viewer [data-key]")) {
      const key = button.getAttribute("data-key") ?? "";
      button.addEventListener("click", () => this.actions[key]?.());
    }
    byId("colours").append(...NAMES.map((name) => element("option", {}, name)));
    listenToSettings(this.#tools);
    listenToToolbar();
    listenToExports(() => this.#shown());
  }

  /** @returns {Actions} */
  get actions() {
    const navigation = { Escape: () => this.close(), j: () => this.step(1), k: () => this.step(-1) };
    if (!this.#tools.display) return navigation;
    const actions = this.#tools.actions;
    const comparison = { p: () => this.#prior.toggle(), o: () => {
      this.#prior.close();
      actions.o?.();
    } };
    return { ...navigation, m: () => this.toggleRead(), a: () => this.acknowledge(), ...actions, ...comparison };
  }

  /** Return what is on the screen, if it is all there. */
  #shown() {
    const { display, stage } = this.#tools;
    return display && this.#entry && { prediction: display.prediction, entry: this.#entry, panes: stage.panes };
  }

  /** @param {string} id */
  async open(id) {
    this.#clear(id);
    byId("stage-message").textContent = this.#radiographs.isLoaded(id) ? "" : "Loading";
    this.#loaded = this.#load(id);
    await this.#loaded;
  }

  /** @param {string} id */
  async #load(id) {
    try {
      const [radiograph, current] = await Promise.all([this.#radiographs.load(id), entry(id)]);
      if (this.id === id) this.#show(radiograph, current);
    } catch (error) {
      if (this.id !== id) return;
      const { text, passes } = failure(error);
      byId("stage-message").textContent = text;
      if (passes) setTimeout(() => this.id === id && this.#load(id), RETRY_MS);
    }
  }

  leave() {
    this.#radiographs.clear();
    this.#clear(null);
  }

  /** @param {1 | -1} direction */
  async step(direction) {
    if (this.id === null) return;
    try {
      const next = await this.listing.neighbour(this.id, direction);
      if (next) this.go(next.id);
      else say(`This is the ${direction > 0 ? "last" : "first"} radiograph of the list`);
    } catch (error) {
      say(words(error), "problem");
    }
  }

  /** Mark as read and go on to the next unread radiograph; or, where it is read already, remove the mark. */
  async toggleRead() {
    const [{ id }, before] = [this, this.#entry];
    if (id === null || !before) return;
    try {
      const by = before.read ? reader() : await askedReader();
      if (by === null || this.id !== id) return;
      const marked = await markRead(id, !before.read, by);
      const name = personName(marked.patient.name);
      if (this.id === id) this.#showEntry(marked);
      const next = marked.read && (await this.listing.nextUnread(id));
      if (next && this.id === id) this.go(next.id);
      if (!marked.read) say(`Marked unread: ${name}`);
      else say(next ? `Marked read: ${name}. This is the next unread radiograph` : `Marked read: ${name}. No other radiograph of the list is unread`);
    } catch (error) {
      say(words(error), "problem");
    }
  }

  async acknowledge() {
    const { id } = this;
    if (id === null || !this.#entry || !isAlerting(this.#entry)) return;
    try {
      const by = await askedReader();
      if (by === null) return;
      const acknowledgement = await acknowledge(id, by);
      if (this.id === id) this.#showEntry({ ...this.#entry, acknowledgement });
      say("Acknowledged");
    } catch (error) {
      say(words(error), "problem");
    }
  }

  /**
   * Show what another user changed: a read mark, an acknowledgement, measurements, or a deletion.
   * @param {Change} change
   */
  async changed(change) {
    this.#prior.changed(change);
    if (change.kind === "deleted") this.#forget(change.id);
    else if (change.id !== this.id) return;
    else if (change.kind === "measured") await this.#tools.measurements.refresh();
    else await this.#refreshEntry(change.id);
  }

  /** Show what changed while the service could not tell of it. */
  async refresh() {
    await this.#loaded;
    if (this.id === null || !this.#entry) return;
    await Promise.all([this.#refreshEntry(this.id), this.#prior.refresh()]);
    if (this.#entry) await this.#tools.measurements.refresh();
  }

  /** @param {string} id  of the open radiograph */
  async #refreshEntry(id) {
    const round = ++this.#latest;
    try {
      const current = await entry(id);
      if (this.id === id && round === this.#latest) this.#showEntry(current); // it may be older than what is shown
    } catch (error) {
      if (error instanceof Problem && error.status === 404) this.#forget(id);
    }
  }

  /** @param {string} id  of a radiograph that was deleted */
  #forget(id) {
    this.#radiographs.drop(id);
    if (this.id !== id) return;
    this.#clear(id);
    byId("stage-message").textContent = "This radiograph was deleted";
  }

  /** @param {Entry} current */
  #showEntry(current) {
    this.#latest++;
    this.#entry = current;
    showMarks(current);
  }

  /**
   * @param {Radiograph} radiograph
   * @param {Entry} current
   */
  #show(radiograph, current) {
    const display = new Display(radiograph, this.#tools.appearance);
    byId("stage-message").textContent = "";
    fillMenus(display);
    showPanel(radiograph.prediction, current, (name) => this.#tools.toggleMapOf(name));
    this.#showEntry(current);
    if (!current.opened) markOpened(current.id).catch(() => {}); // a statistic: whoever may only read is not disturbed
    this.#opinions.open(current.id);
    showCrop(display);
    this.#tools.open(display);
    this.#prior.offer(current);
    const [priority, reason, acknowledgement] = ["priority", "sentence", "acknowledgement"].map((part) => byId(part).textContent);
    const parts = [`${priority}: ${reason}`, ...warnings(radiograph.prediction.flags), acknowledgement];
    byId("announcement").textContent = parts.filter(Boolean).join(". ");
    byId("viewer").dataset.shown = radiograph.prediction.id;
    this.#prefetch();
  }

  /**
   * Remove everything of the last patient from the screen while another radiograph is loading.
   * @param {string | null} id
   */
  #clear(id) {
    this.id = id;
    this.#entry = null;
    this.#prior.offer(null);
    this.#tools.open(null);
    byId("announcement").textContent = "";
    if (id && byId("panel").contains(document.activeElement)) byId("stage").focus({ preventScroll: true });
    delete byId("viewer").dataset.shown;
  }

  /** Fetch the next radiograph while this one is being read. */
  async #prefetch() {
    const { id } = this;
    const index = this.listing.items.findIndex((item) => item.id === id);
    const next = index < 0 ? undefined : this.listing.items[index + 1];
    if (!next || this.#radiographs.has(next.id)) return;
    await new Promise((resolve) => setTimeout(resolve, PREFETCH_MS));
    if (this.id === id) this.#radiographs.load(next.id).catch(() => {}); // open() fetches it again
  }
}
