// @ts-check
/** Transport of a cell: requests to the kernel and replies are messages of its widget. */

import {transport} from "./api.js";
import {ticket} from "./dom.js";

/** @type {any} */
let model = null;
/** @type {Map<string, (reply: Response) => void>} */
const waiting = new Map();

/** Send requests through this widget's model. Returns a function that disconnects. @param {any} given @returns {() => void} */
export function connect(given) {
  model = given;
  transport.exchange = exchange;
  model.on("msg:custom", receive);
  return () => model.off("msg:custom", receive);
}

/** @param {{id: string, status: number, kind: string}} reply @param {DataView[]} buffers */
function receive(reply, buffers) {
  waiting.get(reply.id)?.(new Response(/** @type {any} */ (buffers[0]), {status: reply.status, headers: {"Content-Type": reply.kind}}));
}

/**
 * Like fetch. A busy kernel replies late, one that has ended never does.
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
