// @ts-check
/** Client of the label server: JSON requests, pictures, sessions and errors. */

/**
 * @typedef {import("./player.js").Clip} Clip
 * @typedef {{query: number, ticket: string, kind: string, clips: Clip[]}} Question clips in the order shown
 * @typedef {{chances: number[], rewards: number[][], agrees: boolean | null, version: number}} ModelView
 * chances of the kind's outcomes; rewards per step of each clip, in the order shown
 * @typedef {{state: string, step?: number, total_steps?: number, model_version?: number, accuracy?: number | null, age_seconds?: number}} Trainer
 * @typedef {{run: string, env: string, question: string, instructions: string, budget: number, asked: number, answered: number,
 *   skipped: number, seq: number, open: number, ready: number, rendering: number, next: number | null, trainer: Trainer,
 *   role: "experimenter" | "labeller", kinds: Record<string, import("./choices.js").Kind>, trouble: string | null,
 *   mine: {answers: number, per_minute: number | null, median_seconds: number | null, minutes: number}}} Status
 */

const PATIENCE = 15_000; // ms until a request counts as lost

/** How requests reach the server: over HTTP. A notebook's cell replaces `exchange`. */
export const transport = {exchange: (/** @type {string} */ path, /** @type {RequestInit | undefined} */ about) => fetch(path, about)};

/** A reply that is not 2xx, or none at all (status 0). */
export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {any} [body] */
  constructor(status, code, message, body) {
    super(message);
    this.status = status;
    this.code = code;
    this.body = body;
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** keepalive: the page may be gone before the reply. @param {string} method @param {string} path @param {any} [body] @returns {Promise<any>} */
async function call(method, path, body, keepalive = false) {
  const json = body !== undefined && {headers: {"Content-Type": "application/json", "X-Prefrl": "1"}, body: JSON.stringify(body)};
  /** @type {RequestInit} */
  const about = {method, ...json, keepalive, signal: AbortSignal.timeout(PATIENCE), cache: "no-store"};
  const reply = await transport.exchange(path, about).catch((fault) => {
    throw new ApiError(0, "offline", `no reply from the server (${fault.message})`);
  });
  const content = await reply.json().catch(() => ({}));
  if (reply.ok) return content;
  throw new ApiError(reply.status, content.code ?? "", content.message ?? `the server answered ${reply.status}`, content);
}

/** A clip's frame sheet. @param {string} url @returns {Promise<Blob>} */
export async function picture(url) {
  const reply = await transport.exchange(url, undefined);
  if (!reply.ok) throw new Error(`${url}: ${reply.status}`);
  return reply.blob();
}

/** @param {string} path @param {Record<string, string | number | null | undefined>} [query] */
export function get(path, query = {}) {
  const present = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(present.map(([name, value]) => [name, String(value)])).toString();
  return call("GET", text ? `${path}?${text}` : path);
}

/** One session per labeller and page: opened when first needed, opened anew when the server forgot it. */
export class Sessions {
  /** @type {Map<string, Promise<{session: string, labeller: string}>>} */
  #open = new Map();

  /** @param {string} labeller @returns {Promise<{session: string, labeller: string}>} */
  of(labeller) {
    const known = this.#open.get(labeller);
    if (known) return known;
    const opening = call("POST", "/api/session", {labeller});
    this.#open.set(labeller, opening);
    opening.catch(() => this.#open.delete(labeller)); // a failure is not remembered
    return opening;
  }

  /** Drop a session; the next request opens another. @param {string} labeller */
  forget(labeller) {
    this.#open.delete(labeller);
  }

  /** Release the labeller's leases as the page closes. @param {string} labeller */
  leave(labeller) {
    this.#open.get(labeller)?.then(({session}) => call("POST", "/api/leave", {session}, true)).catch(() => {});
    this.forget(labeller);
  }

  /** A request that carries the session of a labeller. @param {string} path @param {string} labeller @param {any} body */
  async post(path, labeller, body) {
    const {session} = await this.of(labeller);
    try {
      return await call("POST", path, {session, ...body});
    } catch (fault) {
      if (!(fault instanceof ApiError) || !fault.code.includes("session")) throw fault;
      this.forget(labeller);
      return call("POST", path, {session: (await this.of(labeller)).session, ...body});
    }
  }
}
