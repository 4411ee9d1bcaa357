/**
 * What works on this server, what is missing, and a simulated caller. Only the stack on a
 * developer's machine offers it.
 *
 * @typedef {object} Feature
 * @property {string} title
 * @property {"ready" | "simulated" | "missing"} state
 * @property {string} explanation
 * @property {string[]} settings that would change it
 *
 * @typedef {object} Status
 * @property {string} model
 * @property {string} phone
 * @property {Feature[]} features
 * @property {boolean} can_ring
 */

import { ApiError, request } from "./api.js";
import { byId, element } from "./page.js";

const STATES = { ready: "Ready", simulated: "Simulated", missing: "Not set up" };
const ringForm = byId("ring-form", HTMLFormElement);
const ringNumber = byId("ring-number", HTMLSelectElement);
const ringResult = byId("ring-result", HTMLElement);
const doctor = byId("doctor", HTMLDetailsElement);
const findings = byId("findings", HTMLElement);

/** Returns whether this is the local stack, which needs no API key. */
export async function initSetup() {
  const status = await localStatus();
  if (!status) return false;
  showStatus(status);
  ringForm.addEventListener("submit", (event) => void ring(event));
  doctor.addEventListener("toggle", () => doctor.open && void showFindings());
  if (status.can_ring) await listNumbers();
  return true;
}

/** @returns {Promise<Status | null>} null on a deployment */
async function localStatus() {
  try {
    return await request("GET", "/console/status");
  } catch (error) {
    if (error instanceof ApiError && error.status > 0) return null;
    throw error;
  }
}

/** @param {Status} status */
function showStatus(status) {
  byId("setup", HTMLElement).hidden = false;
  byId("providers", HTMLElement).replaceChildren(
    element("li", "", `Model: ${status.model}`),
    element("li", "", `Phone: ${status.phone}`),
  );
  byId("simulated-hint", HTMLElement).hidden = status.model !== "simulated";
  byId("features", HTMLElement).replaceChildren(...status.features.map(featureItem));
}

/** @param {Feature} feature */
function featureItem(feature) {
  const title = element("div", "title", element("b", "", feature.title), " ");
  title.append(element("span", "badge", STATES[feature.state]));
  const why = element("p", "hint", feature.explanation);
  feature.settings.forEach((setting) => why.append(" ", element("code", "", setting)));
  return element("li", feature.state, title, why);
}

async function listNumbers() {
  const { numbers } = await request("GET", "/api/numbers?limit=100");
  const options = numbers.map((/** @type {{ number: string, agent: string }} */ each) => {
    const option = element("option", "", `${each.number} (${each.agent})`);
    option.value = each.number;
    return option;
  });
  ringNumber.replaceChildren(...options);
  ringForm.hidden = options.length === 0;
}

/** @param {SubmitEvent} event */
async function ring(event) {
  event.preventDefault();
  try {
    const call = await request("POST", "/simulator/calls", { to: ringNumber.value });
    ringResult.textContent = `${call.from} calls ${call.to}. Follow the call in the terminal.`;
  } catch (error) {
    ringResult.textContent = error instanceof Error ? error.message : String(error);
  }
}

async function showFindings() {
  findings.replaceChildren(element("li", "", "Checking…"));
  try {
    const answer = await request("GET", "/console/findings");
    findings.replaceChildren(...answer.findings.map(findingItem));
  } catch (error) {
    findings.replaceChildren(element("li", "fail", String(error)));
  }
}

/** @param {{ level: string, text: string }} finding */
function findingItem(finding) {
  const mark = finding.level === "ok" ? "✓ " : "";
  return element("li", finding.level, mark, finding.text);
}
