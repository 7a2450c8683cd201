// Entry point: connects the worklist, the viewer, the keyboard and the service's events.

import { alertOf, prepareAlerts } from "./alerts.js";
import { json } from "./api.js";
import { byId } from "./element.js";
import { follow } from "./events.js";
import { listen, prepareHelp, showHelp } from "./keys.js";
import { Listing } from "./listing.js";
import { followLinks, goBack, goTo, radiographAt, selectionAt } from "./place.js";
import { words } from "./problem.js";
import { keepReader } from "./reader.js";
import { say } from "./toast.js";
import { chooseFiles, prepareUploads } from "./upload.js";
import { Viewer } from "./viewer.js";
import { Worklist } from "./worklist.js";

/**
 * @import { Card } from "./api.js"
 * @import { ConnectionState } from "./events.js"
 */

const RETRY_MS = 2000;
/** @type {Record<ConnectionState, string>} */
const STATES = { live: "Live", waiting: "Not connected" };

async function start() {
  keepReader();
  prepareHelp();
  prepareAlerts();
  prepareUploads();
  const card = await model();
  const { labels, untrained = [] } = card;
  const listing = new Listing();
  const worklist = new Worklist(listing, goTo, labels.filter((name) => !untrained.includes(name)));
  const viewer = new Viewer(listing, goTo, () => goBack(worklist.selection), card);
  followLinks();
  if (radiographAt(location.hash)) await worklist.refresh();
  const route = () => show(worklist, viewer);
  addEventListener("hashchange", route);
  route();
  listen(() => ({ "?": showHelp, u: chooseFiles, ...(viewer.id ? viewer.actions : worklist.actions) }));
  let wasConnected = false;
  await follow(
    (change) => {
      worklist.changed(change);
      viewer.changed(change);
      if (change.kind === "new" && change.priority === "STAT") alertOf(1, change.id);
    },
    async (state) => {
      showConnection(state);
      if (state !== "live") return;
      const before = listing.counts.unread.STAT;
      viewer.refresh(); // changes while disconnected were not reported
      await worklist.refresh();
      const missed = listing.counts.unread.STAT - before;
      if (wasConnected && missed > 0) alertOf(missed);
      wasConnected = true;
    },
  );
}

/**
 * Show what the address names.
 * @param {Worklist} worklist
 * @param {Viewer} viewer
 */
function show(worklist, viewer) {
  const id = radiographAt(location.hash);
  const before = viewer.id;
  byId("worklist").hidden = Boolean(id);
  byId("viewer").hidden = !id;
  if (id) {
    viewer.open(id);
    if (!before) byId("stage").focus({ preventScroll: true });
  } else {
    viewer.leave();
    worklist.restore(selectionAt(location.hash, history.state)).then(() => before && worklist.select(before));
  }
}

/**
 * Fetch the description of the model, again until the service answers.
 * @returns {Promise<Card>}
 */
async function model() {
  for (;;) {
    try {
      return await json("model");
    } catch (error) {
      showConnection("waiting");
      say(words(error), "problem");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** @param {ConnectionState} state */
function showConnection(state) {
  byId("live").dataset.state = state;
  byId("live").querySelector(".words")?.replaceChildren(STATES[state]);
}

start().catch((error) => say(words(error), "problem"));
