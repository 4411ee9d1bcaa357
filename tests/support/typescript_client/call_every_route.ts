// Calls every route of the API by openapi-fetch, with the types that openapi-typescript generated.
// The URL of the API is the first argument, a call that streams the second.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { argv: string[] };

const [baseUrl, call_id] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl });
const name = "front-desk";
const number = "+15550101";

function check(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(what);
}

function same(left: unknown, right: unknown): void {
  check(JSON.stringify(left) === JSON.stringify(right), `${JSON.stringify(left)} is not as expected`);
}

type Answer<T> = { data?: T; error?: unknown; response: Response };

function data<T>(status: number, answer: Answer<T>): NonNullable<T> {
  same(answer.response.status, status);
  if (answer.data === undefined || answer.data === null) throw new Error("there is no data");
  return answer.data;
}

// Agents and numbers: what was read is put back as it is.
const agent = { params: { path: { name } } };
await api.PUT("/api/agents/{name}", {
  ...agent,
  body: {
    voice: "cedar",
    turn_detection: { type: "semantic_vad", eagerness: "low" },
    tools: ["end_call", { name: "book", url: "https://practice.example/book" }],
  },
});
const read = data(200, await api.GET("/api/agents/{name}", agent));
same(read.turn_detection?.type, "semantic_vad");
const again = data(200, await api.PUT("/api/agents/{name}", { ...agent, body: read }));
same(again.tools, read.tools);
const listed = data(200, await api.GET("/api/agents", { params: { query: { limit: 100 } } }));
check(listed.agents.some((each) => each.name === name), "the agent is not listed");

const place = { params: { path: { number } } };
const assigned = data(200, await api.PUT("/api/numbers/{number}", { ...place, body: { agent: name } }));
same(data(200, await api.GET("/api/numbers/{number}", place)), assigned);
data(200, await api.PUT("/api/numbers/{number}", { ...place, body: assigned }));
check(data(200, await api.GET("/api/numbers")).numbers.length > 0, "no number is listed");

// Calls
const created = data(
  201,
  await api.POST("/api/ai-calls/create", {
    params: { header: { "idempotency-key": "order-1043" } },
    body: { to: "+15550123", agent: name, metadata: { order: "1043" } },
  }),
);
const placed = { params: { path: { call_id: created.call_id } } };
const record = data(200, await api.GET("/api/ai-calls/{call_id}", placed));
same(record.metadata, { order: "1043" });
same(record.config.voice, "cedar");
data(200, await api.GET("/api/ai-calls/{call_id}/status", placed));
const query = { ended: true, day: "2026-11-25" };
same(data(200, await api.GET("/api/ai-calls/status", { params: { query } })).calls, []);

// A browser call
const browser = data(201, await api.POST("/api/browser-calls", { body: { agent: name } }));
const renewal = { params: { path: { call_id: browser.call_id } } };
same(data(201, await api.POST("/api/browser-calls/{call_id}/media", renewal)).call_id, browser.call_id);

// A live call
const live = { params: { path: { call_id } } };
const steered = [
  await api.POST("/api/ai-calls/{call_id}/say", { ...live, body: { text: "Hello.", interrupt: true } }),
  await api.POST("/api/ai-calls/{call_id}/update", { ...live, body: { instructions: "Be brief." } }),
  await api.POST("/api/ai-calls/{call_id}/interrupt", live),
  await api.POST("/api/ai-calls/{call_id}/mute", { ...live, body: { side: "caller" } }),
  await api.POST("/api/ai-calls/{call_id}/unmute", { ...live, body: { side: "caller" } }),
  await api.POST("/api/ai-calls/{call_id}/dtmf", { ...live, body: { digits: "1#", duration_ms: 250 } }),
  await api.POST("/api/ai-calls/{call_id}/transfer", { ...live, body: { to: "+15550142", mode: "blind" } }),
  await api.POST("/api/ai-calls/{call_id}/hangup", { ...live, body: { say: "Goodbye!" } }),
];
for (const answer of steered) {
  same(data(202, answer).call_id, call_id);
}

// Errors
const missing = { params: { path: { call_id: "nobody" } } };
const unknown = await api.GET("/api/ai-calls/{call_id}", missing);
same(unknown.response.status, 404);
same(unknown.error && "error" in unknown.error && unknown.error.error.code, "unknown_call");

// The end
same((await api.DELETE("/api/agents/{name}", agent)).response.status, 409);
same((await api.DELETE("/api/numbers/{number}", place)).response.status, 204);
same((await api.DELETE("/api/agents/{name}", agent)).response.status, 204);
same(data(200, await api.GET("/api/openapi.json")).openapi, "3.1.0");
