// Tells whether a request came from your Phonebridge: an outcome webhook or a request to a tool.
//
// `body` must be the bytes as they arrived. JSON that was parsed and written again differs.

import { createHmac, timingSafeEqual } from "node:crypto";

const TOLERANCE_SECONDS = 300;

/**
 * @param {string} secret OUTCOME_WEBHOOK_SECRET, or the secret of the tool
 * @param {Record<string, string | undefined>} headers with names in lower case, as Node has them
 * @param {Uint8Array} body
 * @param {number} nowSeconds
 */
export function isFromPhonebridge(secret, headers, body, nowSeconds = Date.now() / 1000) {
  const timestamp = headers["phonebridge-timestamp"] ?? "";
  const given = Buffer.from(headers["phonebridge-signature"] ?? "");
  const signed = createHmac("sha256", secret).update(`${timestamp}|`).update(body).digest("hex");
  const expected = Buffer.from(`v1=${signed}`);
  const isFresh = /^\d+$/.test(timestamp) && Math.abs(nowSeconds - Number(timestamp)) <= TOLERANCE_SECONDS;
  return isFresh && given.length === expected.length && timingSafeEqual(given, expected);
}
