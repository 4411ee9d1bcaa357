/** The form with the agent's settings. */

import { request } from "./api.js";
import { byId, element } from "./page.js";

const STORED_FORM = "phonebridge-agent";
const FIRST_AGENT = {
  greeting: "Hello, you are talking to Phonebridge. What can I do for you?",
  instructions:
    "You are the friendly receptionist of a dental practice. Keep your answers short. " +
    "The practice is open from 8 to 18 on weekdays.",
};
const EXAMPLE_TOOL = [
  {
    name: "opening_hours",
    description: "When the practice is open on a day.",
    parameters: {
      type: "object",
      properties: { day: { type: "string", description: "today, or a day of the week" } },
      required: ["day"],
    },
    url: "https://example.com/opening-hours",
  },
  "end_call",
];

const name = byId("agent-name", HTMLSelectElement);
const tools = byId("tools", HTMLTextAreaElement);
const toolsProblem = byId("tools-problem", HTMLElement);
/** @type {(HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement)[]} */
const texts = [
  byId("greeting", HTMLTextAreaElement),
  byId("instructions", HTMLTextAreaElement),
  byId("voice", HTMLSelectElement),
];

/** The chosen agent's own settings. Only what differs from them is sent. @type {Record<string, any>} */
let stored = {};

/** The form has text that the server could not read. */
export class FormError extends Error {}

export function initAgentForm() {
  fill(JSON.parse(sessionStorage.getItem(STORED_FORM) ?? "null") ?? FIRST_AGENT);
  name.addEventListener("change", () => void choose());
  byId("example-tool", HTMLButtonElement).addEventListener("click", () => {
    tools.value = JSON.stringify(EXAMPLE_TOOL, null, 2);
    toolsProblem.textContent = "";
  });
}

/** Lists the agents of the server. */
export async function listAgents() {
  const { agents } = await request("GET", "/api/agents?limit=100");
  const options = agents.map((/** @type {{ name: string }} */ each) =>
    element("option", "", each.name),
  );
  name.replaceChildren(name.options[0], ...options);
}

async function choose() {
  stored = name.value ? await request("GET", `/api/agents/${encodeURIComponent(name.value)}`) : {};
  fill(name.value ? stored : FIRST_AGENT);
}

/** @param {Record<string, any>} settings */
function fill(settings) {
  for (const field of texts) setValue(field, settings[field.id] ?? "");
  tools.value = settings.tools?.length ? JSON.stringify(settings.tools, null, 2) : "";
  toolsProblem.textContent = "";
}

/**
 * @param {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} field
 * @param {string} value
 */
function setValue(field, value) {
  field.value = value;
  if (field.value === value) return;
  field.append(element("option", "", value)); // a custom voice
  field.value = value;
}

/**
 * Returns the settings for `POST /api/browser-calls`. Throws `FormError`.
 *
 * @returns {Record<string, any>}
 */
export function readAgentForm() {
  const written = { ...valuesOfTexts(), tools: readTools() };
  if (!name.value) {
    sessionStorage.setItem(STORED_FORM, JSON.stringify(written));
    return withoutEmpty(written);
  }
  const changed = Object.entries(written).filter(
    ([field, value]) => JSON.stringify(value) !== JSON.stringify(stored[field] ?? emptyOf(field)),
  );
  return { agent: name.value, ...withoutEmpty(Object.fromEntries(changed)) };
}

/** @returns {Record<string, any>} */
function valuesOfTexts() {
  return Object.fromEntries(texts.map((field) => [field.id, field.value.trim()]));
}

/** @param {string} field */
function emptyOf(field) {
  return field === "tools" ? [] : "";
}

/** @param {Record<string, any>} settings */
function withoutEmpty(settings) {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value.length > 0));
}

/** @returns {unknown[]} */
function readTools() {
  toolsProblem.textContent = "";
  if (!tools.value.trim()) return [];
  try {
    const list = JSON.parse(tools.value);
    if (Array.isArray(list)) return list;
    throw new Error("It must be a list in square brackets.");
  } catch (error) {
    const message = `The tools are not valid JSON: ${error instanceof Error ? error.message : error}`;
    toolsProblem.textContent = message;
    throw new FormError(message);
  }
}
