// @ts-check
/** How a cell reaches its kernel: requests and replies are messages of its widget. */

import {transport} from "./api.js";
import {ticket} from "./dom.js";

/** @type {any} */
let model = null;
/** @type {Map<string, (reply: Response) => void>} */
const waiting = new Map();

/** Talk through this widget's model from now on. Returns what ends that. @param {any} given @returns {() => void} */
export function connect(given) {
  model = given;
  transport.exchange = exchange;
  model.on("msg:custom", hear);
  return () => model.off("msg:custom", hear);
}

/** @param {{id: string, status: number, kind: string}} said @param {DataView[]} buffers */
function hear(said, buffers) {
  waiting.get(said.id)?.(new Response(/** @type {any} */ (buffers[0]), {status: said.status, headers: {"Content-Type": said.kind}}));
}

/**
 * As fetch has it. A kernel that is busy replies late, one that has gone never does.
 * @param {string} path @param {RequestInit} [about] @returns {Promise<Response>}
 */
function exchange(path, about = {}) {
  const id = ticket();
  return new Promise((resolve, reject) => {
    waiting.set(id, resolve);
    about.signal?.addEventListener("abort", () => reject(about.signal?.reason));
    model.send({id, path, method: about.method ?? "GET", body: about.body ?? null});
  }).finally(() => waiting.delete(id));
}
