// Sound and desktop notification for new STAT radiographs. Both are off until somebody switches them on, and the browser
// remembers it: it is the choice of a workplace. A notification names no patient, as screens show it to everybody.

import { byId } from "./element.js";
import { goTo } from "./place.js";

/** @typedef {"sound" | "notification"} Alert */

const STORED_AS = "triage-alert-";
const BEEPS_HZ = [880, 660, 880];
const BEEP_SECONDS = 0.18;
const LOUDNESS = 0.25; // of 1
/** @type {AudioContext | null} */
let audio = null;

/** Connect the dialog, with the choices of the last time. */
export function prepareAlerts() {
  byId("alerts-button").addEventListener("click", () => byId("alerts", HTMLDialogElement).showModal());
  for (const alert of /** @type {Alert[]} */ (["sound", "notification"])) {
    box(alert).checked = isOn(alert);
    box(alert).addEventListener("change", () => choose(alert, box(alert).checked));
  }
  if (!("Notification" in globalThis) || !isSecureContext) {
    box("notification").disabled = true;
    box("notification").checked = false;
    byId("alerts-reason").textContent = "This browser shows notifications only for a page at https:// or at localhost.";
  }
  // Browsers play no sound before the page was clicked or a key was pressed.
  for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, () => isOn("sound") && allowSound());
  showState();
}

/**
 * Alert of new STAT radiographs as chosen.
 * @param {number} count
 * @param {string} [id]  of the radiograph, if it is one
 */
export function alertOf(count, id) {
  if (isOn("sound")) play();
  if (!isOn("notification") || box("notification").disabled || Notification.permission !== "granted") return;
  const title = count === 1 ? "New STAT radiograph" : `${count} new STAT radiographs`;
  const notification = new Notification(title, { body: "AG-CNN triage", tag: id ?? "stat" });
  notification.addEventListener("click", () => {
    window.focus();
    if (id) goTo(id);
  });
}

/**
 * @param {Alert} alert
 * @param {boolean} on
 */
async function choose(alert, on) {
  byId("alerts-reason").textContent = "";
  if (alert === "notification" && on && (await Notification.requestPermission()) !== "granted") {
    byId("alerts-reason").textContent = "The browser does not allow notifications of this page; its settings for the page do.";
    box(alert).checked = false;
    return;
  }
  localStorage.setItem(STORED_AS + alert, on ? "on" : "off");
  if (alert === "sound" && on) {
    await allowSound();
    play(); // so that its loudness can be set
  }
  showState();
}

async function allowSound() {
  audio ??= new AudioContext();
  if (audio.state === "suspended") await audio.resume();
  showState();
}

function play() {
  if (audio?.state !== "running") return;
  const gain = audio.createGain();
  gain.gain.value = LOUDNESS;
  gain.connect(audio.destination);
  BEEPS_HZ.forEach((frequency, index) => {
    if (!audio) return;
    const beep = audio.createOscillator();
    beep.frequency.value = frequency;
    beep.connect(gain);
    beep.start(audio.currentTime + index * BEEP_SECONDS);
    beep.stop(audio.currentTime + (index + 0.8) * BEEP_SECONDS);
  });
}

function showState() {
  const isMute = isOn("sound") && audio?.state !== "running";
  const isAnyOn = isOn("sound") || isOn("notification");
  byId("alerts-button").textContent = isMute ? "Alerts: click to allow sound" : `Alerts ${isAnyOn ? "on" : "off"}`;
}

/** @param {Alert} alert */
function isOn(alert) {
  return localStorage.getItem(STORED_AS + alert) === "on";
}

/** @param {Alert} alert */
function box(alert) {
  return byId(`alert-${alert}`, HTMLInputElement);
}
