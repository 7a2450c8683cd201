// The page put together: which of the two views is shown, keys, what arrives.

import { json } from "./api.js";
import { byId } from "./element.js";
import { follow } from "./events.js";
import { listen, prepareHelp, showHelp } from "./keys.js";
import { Listing } from "./listing.js";
import { words } from "./problem.js";
import { keepReader } from "./reader.js";
import { say } from "./toast.js";
import { chooseFiles, prepareUploads } from "./upload.js";
import { Viewer } from "./viewer.js";
import { Worklist } from "./worklist.js";

const RETRY_MS = 2000;
const STATES = { live: "Live", waiting: "Not connected" };

async function start() {
  keepReader();
  prepareHelp();
  prepareUploads();
  const { labels } = await model();
  const listing = new Listing();
  const go = (id) => (location.hash = `#/${id}`);
  const close = () => (location.hash = "#/");
  const worklist = new Worklist(listing, go, labels);
  const viewer = new Viewer(listing, go, close);
  await worklist.refresh();
  const route = () => show(worklist, viewer);
  addEventListener("hashchange", route);
  route();
  listen(() => ({ "?": showHelp, u: chooseFiles, ...(viewer.id ? viewer.actions : worklist.actions) }));
  follow(
    (event) => {
      worklist.changed(event);
      viewer.changed(event);
    },
    (name) => {
      state(name);
      if (name === "live") worklist.refresh(); // what changed before nobody listened
    },
  );
}

/** `#/ID` is a radiograph, anything else the list; an id is the service's own and tells nothing of anybody. */
function show(worklist, viewer) {
  const [, id] = /^#\/([\w-]+)$/.exec(location.hash) ?? [];
  const before = viewer.id;
  byId("worklist").hidden = Boolean(id);
  byId("viewer").hidden = !id;
  if (id) {
    viewer.open(id);
    if (!before) byId("stage").focus({ preventScroll: true });
  } else {
    viewer.leave();
    worklist.refresh().then(() => before && worklist.select(before));
  }
}

/** What is served; asked for until the service tells. */
async function model() {
  for (;;) {
    try {
      return await json("model");
    } catch (error) {
      state("waiting");
      say(words(error), "problem");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function state(name) {
  byId("live").dataset.state = name;
  byId("live").querySelector(".words").textContent = STATES[name];
}

start().catch((error) => say(words(error), "problem"));
