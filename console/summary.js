/** What is known after a call: why it ended, what it cost, and its sound. */

import { request } from "./api.js";
import { byId, clockText, element } from "./page.js";

const section = byId("summary", HTMLElement);
const title = byId("summary-title", HTMLElement);
const facts = byId("facts", HTMLElement);
const notes = byId("notes", HTMLElement);
const record = byId("record", HTMLElement);
const replay = byId("replay", HTMLElement);
const player = byId("player", HTMLAudioElement);
const download = byId("download", HTMLAnchorElement);

const POLL_MILLISECONDS = 400;
/** The record is complete some seconds after the end, when the last transcripts have arrived. */
const MAX_POLLS = 30;

/** @type {Record<string, string>} */
const REASONS = {
  hung_up: "you hung up",
  caller_hung_up: "you hung up",
  ended_by_agent: "the agent hung up",
  ended_by_api: "it was ended through the API",
  idle: "nobody said anything",
  max_duration: "it reached its longest duration",
  shutdown: "the server shut down",
  connection_lost: "the connection was lost",
  browser_lost: "the connection was lost",
  browser_never_connected: "the page did not connect",
  container_lost: "the server stopped",
  token_refused: "the server refused the media token",
  in_use: "another page took over the call",
  no_room: "the server has no room for another call",
};

/** @param {string} reason */
export function reasonText(reason) {
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}

export function hideSummary() {
  section.hidden = true;
  replay.hidden = true;
  player.pause();
}

/**
 * Shows what is known at once, then the record as soon as it is complete.
 *
 * @param {string | null} callId
 * @param {string} reason
 */
export async function showSummary(callId, reason) {
  title.textContent = reason ? `Call ended: ${reasonText(reason)}` : "Call ended";
  facts.replaceChildren();
  notes.textContent = "";
  record.textContent = "";
  section.hidden = false;
  if (callId) showRecord(await completeRecord(callId));
}

/** @param {string} callId */
async function completeRecord(callId) {
  const path = `/api/ai-calls/${encodeURIComponent(callId)}`;
  for (let poll = 1; ; poll += 1) {
    const answer = await request("GET", path);
    if (isComplete(answer) || poll === MAX_POLLS) return answer;
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
  }
}

/** @param {any} answer */
function isComplete(answer) {
  return answer.status === "ended" && (answer.cost.total !== null || answer.fault !== null);
}

/** @param {any} answer */
function showRecord(answer) {
  if (answer.fault) title.textContent = `Call failed: ${answer.fault.detail || answer.fault.reason}`;
  else if (answer.reason) title.textContent = `Call ended: ${reasonText(answer.reason)}`;
  const { activity, cost } = answer;
  facts.replaceChildren(
    ...fact("Duration", answer.duration_seconds === null ? null : clockText(answer.duration_seconds)),
    ...fact("Median reply", activity.turn_latency_ms === null ? null : `${activity.turn_latency_ms} ms`),
    ...fact("Interruptions", String(activity.interruptions)),
    ...fact("Cost", cost.total === null ? null : money(cost.total, cost.currency)),
    ...fact("Model", cost.model === null ? null : money(cost.model, cost.currency)),
    ...fact("Transcription", cost.transcription === null ? null : money(cost.transcription, cost.currency)),
  );
  notes.textContent = cost.total === null ? "" : cost.notes.join(" ");
  record.textContent = JSON.stringify(answer, null, 2);
}

/**
 * @param {string} term
 * @param {string | null} value
 */
function fact(term, value) {
  if (value === null) return [];
  return [element("div", "", element("dt", "", term), element("dd", "", value))];
}

/**
 * @param {number} amount
 * @param {string} currency
 */
function money(amount, currency) {
  return new Intl.NumberFormat(undefined, {
    style: "currency",
    currency,
    minimumFractionDigits: 4,
    maximumFractionDigits: 4,
  }).format(amount);
}

/** @param {import("./recording.js").Recording} recording */
export function offerReplay(recording) {
  if (recording.isEmpty) return;
  URL.revokeObjectURL(player.src);
  player.src = download.href = URL.createObjectURL(recording.toWav());
  replay.hidden = false;
}
