// Calls to the controller that served this page, and what can go wrong with them.

/** Milliseconds until a call is given up. Longer than any time limit of the cluster itself. */
const callTimeout = 20_000;

/** An error as the API describes it (RFC 9457). `outcome` is set for writes: "not_applied" or "unknown". */
export class Problem extends Error {
  constructor({ title, detail = "", status = 0, code = "", outcome, required, acked, request_id: requestId }) {
    super(title);
    this.name = "Problem";
    Object.assign(this, { title, detail, status, code, outcome, required, acked, requestId });
  }
}

/** The path of a key. Throws a Problem for the few keys that no browser can put into an address. */
export function keyPath(key) {
  const notApplied = { status: 0, outcome: "not_applied" };
  if (key === "." || key === "..") {
    // The URL standard removes these segments, percent-encoded or not, before the request leaves the browser.
    throw new Problem({
      title: "A browser cannot name this key",
      detail: `The keys "." and ".." vanish from web addresses. Use the kv command for them.`,
      ...notApplied,
    });
  }
  try {
    return `/kv/${encodeURIComponent(key)}`;
  } catch {
    throw new Problem({ title: "The key is not valid text", detail: "It holds half of a surrogate pair.", ...notApplied });
  }
}

/** A path with its query; parameters that are null, undefined or empty are left out. */
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

function unreachable(error, writes) {
  const late = error?.name === "TimeoutError";
  return new Problem({
    title: late ? "No answer in time" : "The controller cannot be reached",
    detail: late ? `Nothing came back within ${callTimeout / 1000} seconds.` : "The connection failed or broke.",
    outcome: writes ? "unknown" : undefined,
  });
}

function problemOf(response, body, text, writes) {
  const described = body && typeof body === "object" ? body : {};
  // Without a statement by the cluster only a refusal (4xx) proves that a write did not happen.
  const assumed = response.status >= 500 ? "unknown" : "not_applied";
  return new Problem({
    ...described,
    title: described.title || response.statusText || `HTTP status ${response.status}`,
    detail: described.detail || (body ? "" : text.slice(0, 300)),
    status: response.status,
    outcome: writes ? described.outcome ?? assumed : undefined,
  });
}

/**
 * Calls the API and returns {status, headers, body, milliseconds}, body being parsed JSON or null.
 * Throws Problem, or the caller's AbortError when `signal` ends the call. Nothing is ever retried.
 */
export async function call(path, { method = "GET", headers = {}, json, signal, acceptAnyStatus = false } = {}) {
  const writes = method !== "GET";
  const limit = AbortSignal.timeout(callTimeout);
  const init = {
    method,
    headers: { Accept: "application/json", ...headers },
    cache: "no-store",
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  };
  if (json !== undefined) {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(json);
  }
  const started = performance.now();
  let response, text;
  try {
    response = await fetch(path, init);
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable(error, writes);
  }
  let body = null;
  let readable = true;
  try {
    if (text) body = JSON.parse(text);
  } catch {
    readable = false;
  }
  if (!response.ok && !(acceptAnyStatus && body)) throw problemOf(response, body, text, writes);
  if (!readable) {
    throw new Problem({
      title: "The answer cannot be understood",
      detail: `Status ${response.status}, but the body is not JSON.`,
      status: response.status,
      outcome: writes ? "unknown" : undefined,
    });
  }
  return { status: response.status, headers: response.headers, body, milliseconds: performance.now() - started };
}
