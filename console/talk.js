/** The talk page: choose or write an agent, talk to it, and see what happened. */

import { FormError, initAgentForm, listAgents, readAgentForm } from "./agent-form.js";
import { ApiError, apiKey, request } from "./api.js";
import { byId, clockText, element } from "./page.js";
import { Phone, PhoneError } from "./phone.js";
import { Recording } from "./recording.js";
import { initSetup } from "./setup.js";
import { hideSummary, offerReplay, reasonText, showSummary } from "./summary.js";
import { clearTranscript, showKey, showLatency, showTool, showTurn } from "./transcript.js";

const talk = byId("talk", HTMLButtonElement);
const talkLabel = byId("talk-label", HTMLElement);
const mute = byId("mute", HTMLButtonElement);
const keypad = byId("keypad", HTMLElement);
const keypadToggle = byId("keypad-toggle", HTMLButtonElement);
const stateText = byId("state", HTMLElement);
const clock = byId("clock", HTMLElement);
const problem = byId("problem", HTMLElement);
const announcer = byId("announcer", HTMLElement);
const microphone = byId("microphone", HTMLSelectElement);
const speaker = byId("speaker", HTMLSelectElement);
const echoCancellation = byId("echo-cancellation", HTMLInputElement);
const audio = byId("audio", HTMLSelectElement);
const access = byId("access", HTMLElement);

const STATES = {
  connecting: "Connecting…",
  listening: "Listening",
  thinking: "Thinking…",
  speaking: "The agent speaks",
  reconnecting: "Connection lost. Reconnecting…",
  ended: "Ready",
};
const CALL_IS_OVER = [404, 409];

/** @type {Phone | null} */
let phone = null;
let recording = new Recording();
/** @type {ReturnType<typeof setInterval> | undefined} */
let ticking;

talk.addEventListener("click", () => (phone ? phone.hangUp() : void start()));
mute.addEventListener("click", () => setMuted(!phone?.isMuted));
keypadToggle.addEventListener("click", () => showKeypad(keypad.hidden));
keypad.addEventListener("click", ({ target }) => {
  if (target instanceof HTMLButtonElement) press(target.textContent ?? "");
});
keypad.addEventListener("keydown", ({ key }) => {
  if (/^[0-9*#]$/.test(key)) press(key);
});
microphone.addEventListener("change", () => void change(phone?.useMicrophone(microphone.value)));
speaker.addEventListener("change", () => void change(phone?.useSpeaker(speaker.value)));
byId("key-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  apiKey.set(byId("api-key", HTMLInputElement).value.trim());
  void openServer();
});
window.addEventListener("pagehide", () => phone?.hangUp());

initAgentForm();
void listDevices();
void open();

async function open() {
  try {
    access.hidden = await initSetup();
    if (access.hidden || apiKey.get()) await openServer();
  } catch (error) {
    showProblem(error);
  }
}

/** Reads what the page shows of the server, and so checks the key. */
async function openServer() {
  const hint = byId("key-hint", HTMLElement);
  try {
    await listAgents();
    if (apiKey.get()) hint.textContent = "The server accepts the key. It stays in this tab.";
    hideProblem();
  } catch (error) {
    showProblem(error);
  }
}

async function start() {
  hideProblem();
  hideSummary();
  clearTranscript();
  byId("empty", HTMLElement).hidden = true;
  recording = new Recording();
  try {
    const settings = readAgentForm();
    phone = createPhone(settings);
    showLive(true);
    await phone.start();
    void listDevices(); // their names are known once the microphone is allowed
  } catch (error) {
    phone = null;
    showLive(false);
    showProblem(error);
    byId("empty", HTMLElement).hidden = false;
  }
}

/** @param {Record<string, any>} settings */
function createPhone(settings) {
  const codec = audio.value === "l16" ? "l16" : "pcmu";
  const events = ["transcript", "state", "latency", "tool"];
  const created = new Phone({
    audio: codec,
    createCall: () => request("POST", "/api/browser-calls", { ...settings, audio: codec, events }),
    renewCall,
    microphone: microphoneConstraints(),
    speaker: speaker.value,
  });
  created.on("state", ({ detail }) => showState(detail.name));
  created.on("transcript", ({ detail }) => showTurn(detail));
  created.on("latency", ({ detail }) => showLatency(detail.milliseconds));
  created.on("tool", ({ detail }) => showTool(detail));
  created.on("level", ({ detail }) => showLevels(detail.caller, detail.agent));
  created.on("audio", ({ detail }) => recording.add(detail));
  created.on("problem", ({ detail }) => showProblem(detail));
  created.on("ended", ({ detail }) => void finish(detail));
  return created;
}

/** @returns {MediaTrackConstraints} */
function microphoneConstraints() {
  const isProcessed = echoCancellation.checked;
  return {
    echoCancellation: isProcessed,
    noiseSuppression: isProcessed,
    autoGainControl: isProcessed,
    ...(microphone.value ? { deviceId: { exact: microphone.value } } : {}),
  };
}

/** @param {string} callId */
async function renewCall(callId) {
  try {
    return await request("POST", `/api/browser-calls/${encodeURIComponent(callId)}/media`);
  } catch (error) {
    if (error instanceof ApiError && CALL_IS_OVER.includes(error.status)) return null;
    throw error;
  }
}

/** @param {import("./phone.js").End} end */
async function finish({ code, reason }) {
  const callId = phone?.callId ?? null;
  phone = null;
  showLive(false);
  const why = code === "call_ended" ? reason : code;
  announcer.textContent = why ? `Call ended: ${reasonText(why)}` : "Call ended";
  if (code === "connection_lost" || code === "no_room" || code === "token_refused") {
    showProblem(new Error(`The call ended, because ${reasonText(code)}. ${reason}`));
  }
  offerReplay(recording);
  try {
    await showSummary(callId, why);
  } catch (error) {
    showProblem(error);
  }
}

/** @param {keyof typeof STATES} name */
function showState(name) {
  stateText.textContent = STATES[name];
  document.body.dataset.state = name;
  if (name !== "connecting" && name !== "ended" && ticking === undefined) startClock();
}

function startClock() {
  const startedAt = performance.now();
  clock.textContent = clockText(0);
  clock.hidden = false;
  ticking = setInterval(() => {
    clock.textContent = clockText((performance.now() - startedAt) / 1000);
  }, 1000);
  announcer.textContent = "Connected";
}

/** @param {boolean} isLive */
function showLive(isLive) {
  talk.classList.toggle("live", isLive);
  talkLabel.textContent = isLive ? "Hang up" : "Talk";
  mute.disabled = keypadToggle.disabled = !isLive;
  if (isLive) return;
  showState("ended");
  setMuted(false);
  showKeypad(false);
  showLevels(0, 0);
  clearInterval(ticking);
  ticking = undefined;
  clock.hidden = true;
}

/** @param {boolean} isMuted */
function setMuted(isMuted) {
  if (phone) phone.isMuted = isMuted;
  mute.setAttribute("aria-pressed", String(isMuted));
  mute.textContent = isMuted ? "Muted" : "Mute";
}

/** @param {boolean} isShown */
function showKeypad(isShown) {
  keypad.hidden = !isShown;
  keypadToggle.setAttribute("aria-expanded", String(isShown));
}

/** @param {string} digit */
function press(digit) {
  phone?.press(digit);
  showKey(digit);
}

/**
 * @param {number} caller
 * @param {number} agent
 */
function showLevels(caller, agent) {
  byId("caller-level", HTMLElement).style.transform = `scaleX(${caller})`;
  byId("agent-level", HTMLElement).style.transform = `scaleX(${agent})`;
}

/** @param {Promise<void> | undefined} changed */
async function change(changed) {
  try {
    await changed;
  } catch (error) {
    showProblem(error);
  }
}

async function listDevices() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  fillDevices(microphone, devices, "audioinput");
  fillDevices(speaker, devices, "audiooutput");
  byId("speaker-choice", HTMLElement).hidden = !("setSinkId" in AudioContext.prototype);
}

/**
 * @param {HTMLSelectElement} list
 * @param {MediaDeviceInfo[]} devices
 * @param {MediaDeviceKind} kind
 */
function fillDevices(list, devices, kind) {
  const chosen = list.value;
  const known = devices.filter(
    (each) => each.kind === kind && each.deviceId && each.deviceId !== "default",
  );
  const options = known.map((each) => {
    const option = element("option", "", each.label || each.deviceId);
    option.value = each.deviceId;
    return option;
  });
  list.replaceChildren(list.options[0], ...options);
  list.value = chosen;
}

function hideProblem() {
  problem.hidden = true;
  problem.textContent = "";
}

/** @param {unknown} error */
function showProblem(error) {
  problem.textContent = `${error instanceof Error ? error.message : error}${remedyOf(error)}`;
  problem.hidden = false;
}

/** @param {unknown} error */
function remedyOf(error) {
  if (error instanceof PhoneError && error.code === "microphone_refused") {
    return " Allow it in the browser's address bar, then press Talk again.";
  }
  if (error instanceof PhoneError && error.code === "microphone_missing") {
    return " Connect one, or choose another one under Sound.";
  }
  if (error instanceof FormError) return " See Tools.";
  return "";
}
