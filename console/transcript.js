/**
 * The transcript as it grows.
 *
 * @typedef {import("./phone.js").Transcript} Transcript
 * @typedef {import("./phone.js").ToolCall} ToolCall
 */

import { byId, element } from "./page.js";

const SPEAKERS = { caller: "You", agent: "Agent" };
const list = byId("transcript", HTMLOListElement);
const announcer = byId("announcer", HTMLElement);

/** @type {Map<string, HTMLElement>} */
const entries = new Map();
/** The turn that the agent speaks, until its latency is known. @type {HTMLElement | null} */
let untimedTurn = null;
/** A latency that came before the words of its turn. @type {number | null} */
let untoldLatency = null;

export function clearTranscript() {
  list.replaceChildren();
  list.hidden = true;
  entries.clear();
  untimedTurn = null;
  untoldLatency = null;
}

/** @param {Transcript} turn */
export function showTurn(turn) {
  const entry = entries.get(turn.item_id) ?? addTurn(turn);
  const words = /** @type {HTMLElement} */ (entry.querySelector(".words"));
  words.replaceChildren(turn.text);
  if (turn.unheard) words.append(turn.text ? " " : "", unheardWords(turn.unheard));
  scrollToEnd();
  if (!turn.is_final) return;
  announcer.textContent = `${SPEAKERS[turn.speaker]}: ${words.textContent}`;
  if (untimedTurn === entry) untimedTurn = null; // a turn without a latency, such as the greeting
}

/** @param {string} text */
function unheardWords(text) {
  const struck = element("del", "", text);
  struck.title = "The caller did not hear these words.";
  struck.prepend(element("span", "visually-hidden", "not heard: "));
  return struck;
}

/** @param {Transcript} turn */
function addTurn(turn) {
  const latency = element("span", "latency");
  const who = element("span", "who", element("span", "", SPEAKERS[turn.speaker]), latency);
  const entry = element("li", `turn ${turn.speaker}`, who, element("p", "words"));
  append(turn.item_id, entry);
  if (turn.speaker === "agent") {
    untimedTurn = entry;
    if (untoldLatency !== null) showLatency(untoldLatency);
  }
  return entry;
}

/** @param {number} milliseconds from the caller's last word to the agent's first sound */
export function showLatency(milliseconds) {
  const place = untimedTurn?.querySelector(".latency");
  untoldLatency = place ? null : milliseconds;
  if (!place) return;
  place.textContent = `replied in ${Math.round(milliseconds)} ms`;
  untimedTurn = null;
}

/** @param {ToolCall} tool */
export function showTool(tool) {
  const id = `tool ${tool.call_id}`;
  const entry = entries.get(id) ?? append(id, element("li", "tool"));
  entry.replaceChildren(element("b", "", tool.name), " ", element("code", "", tool.arguments));
  const output = tool.output ?? "running…";
  entry.append(element("br", ""), "→ ", element("code", "", output));
  scrollToEnd();
}

/** @param {string} digit */
export function showKey(digit) {
  append(`key ${entries.size}`, element("li", "key", `You pressed ${digit}`));
  scrollToEnd();
}

/**
 * @param {string} id
 * @param {HTMLElement} entry
 */
function append(id, entry) {
  entries.set(id, entry);
  list.append(entry);
  list.hidden = false;
  return entry;
}

function scrollToEnd() {
  list.scrollTop = list.scrollHeight;
}
