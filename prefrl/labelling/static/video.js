// @ts-check
/** A pair as a video that the browser keeps. */

import {ApiError} from "./api.js";
import {el} from "./dom.js";
import {exchange} from "./wire.js";

const PATIENCE = 150_000; // ms; the server makes one after the other

/**
 * Fetch the video of a pair and hand it to the browser.
 * @param {Record<string, string | number>} which session, and a ticket or an answer's seq
 */
export async function saveVideo(which) {
  const query = new URLSearchParams(Object.entries(which).map(([name, value]) => [name, String(value)]));
  const reply = await exchange(`/api/video?${query}`, {signal: AbortSignal.timeout(PATIENCE), cache: "no-store"});
  if (!reply.ok) {
    const said = await reply.json().catch(() => ({}));
    throw new ApiError(reply.status, said.code ?? "", said.message ?? `the server answered ${reply.status}`, said);
  }
  const name = /filename="([^"]+)"/.exec(reply.headers.get("Content-Disposition") ?? "")?.[1] ?? "pair.mp4";
  const link = el("a", {href: URL.createObjectURL(await reply.blob()), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the download reads it meanwhile
}
