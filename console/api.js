/** Requests to the HTTP API of the server that this page comes from. */

const STORED_KEY = "phonebridge-api-key";

/** A refusal of the API, or a server that does not answer. The message is meant for people. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 if no answer came
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/** The key of a deployment. It stays in this tab. */
export const apiKey = {
  get: () => sessionStorage.getItem(STORED_KEY) ?? "",
  /** @param {string} key */
  set: (key) => sessionStorage.setItem(STORED_KEY, key),
};

/**
 * Sends a request and returns the body of the response. Throws `ApiError`.
 *
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>}
 */
export async function request(method, path, body) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (apiKey.get()) headers.Authorization = `Bearer ${apiKey.get()}`;
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) }).catch(
    () => {
      throw new ApiError(0, "The server does not answer. Is it running?");
    },
  );
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, messageOf(response.status, answer));
  return answer;
}

/**
 * @param {number} status
 * @param {any} answer in Phonebridge's shape, or in that of API Gateway
 */
function messageOf(status, answer) {
  if (status === 401 || status === 403) {
    return answer.error?.message ?? "The server does not accept the API key.";
  }
  const message = answer.error?.message ?? answer.message;
  return message ? String(message) : `The server answered with status ${status}.`;
}
