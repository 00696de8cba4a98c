// @ts-check
/** Prefetching: questions are leased, loaded and decoded before they are needed. */

import {ApiError} from "./api.js";
import {BadClip, decode, decodedBytes} from "./player.js";

/**
 * @typedef {import("./api.js").Question} Question
 * @typedef {import("./player.js").Sheet} Sheet
 * @typedef {{question: Question, sheets: Sheet[], was?: import("./choices.js").Given, pending?: string | null, revealed?: boolean}} Staged
 * a question ready to be shown; was: the answer that was undone; pending: the withdrawal that will bring its new ticket;
 * revealed: the model's view of it has been seen
 */

const MEMORY = 256 * 2 ** 20; // bytes of decoded clips
const LEAST = 3;
const MOST = 6;
const MOST_HELD = 64; // ids that the server takes
const WARM = typeof OffscreenCanvas === "undefined" ? null : new OffscreenCanvas(8, 8).getContext("2d");

/** Event: "staged" when a question became ready. */
export class Prefetcher extends EventTarget {
  /** @type {Staged[]} */
  staged = [];
  /** Ask for answered questions too, for a second opinion. */
  again = false;
  /** Whether the server's last reply had no question for us. */
  dry = false;
  /** Kinds of question that this page can show; none is fetched before they are known. @type {Set<string>} */
  kinds = new Set();
  /** @type {Question[]} */
  #coming = [];
  #asking = false;
  #stopped = false;
  /** Questions that this browser cannot show. @type {Set<number>} */
  broken = new Set();

  /**
   * @param {(path: string, body: any) => Promise<any>} post with this page's session
   * @param {() => number[]} busy ids on the screen, or answered and not yet confirmed: never to be fetched again
   */
  constructor(post, busy) {
    super();
    this.post = post;
    this.busy = busy;
  }

  /** Ids of all questions that this page holds. */
  get holding() {
    return [...this.busy(), ...this.staged.map((one) => one.question.query), ...this.#coming.map((question) => question.query)];
  }

  get #wanted() {
    const first = this.staged[0]?.question ?? this.#coming[0];
    const each = first ? first.clips.reduce((sum, clip) => sum + decodedBytes(clip), 0) : 1;
    const target = Math.max(LEAST, Math.min(MOST, Math.floor(MEMORY / each)));
    return target - this.staged.length - this.#coming.length;
  }

  /** The next question, or undefined. */
  take() {
    return this.staged.shift();
  }

  /** Put a question back to the front. @param {Staged} staged */
  putBack(staged) {
    this.staged.unshift(staged);
    this.staged.slice(MOST).forEach(close);
  }

  /** Fetch and decode until enough are staged. */
  async fill() {
    if (this.#asking || this.#stopped || !this.kinds.size) return;
    this.#asking = true;
    try {
      for (const one of this.staged.slice(0, LEAST)) await load(one); // an undo may have closed their clips
      if (this.#wanted > 0) this.#coming.push(...(await this.#more()));
      while (this.#coming.length && !this.#stopped) await this.#stage(this.#coming[0]);
    } catch {
      this.#coming = []; // the next call fetches them again
    } finally {
      this.#asking = false;
    }
  }

  /** Drop all questions; the caller releases their leases. */
  stop() {
    this.#stopped = true;
    this.staged.forEach(close);
    this.staged = [];
    this.#coming = [];
  }

  /** @returns {Promise<Question[]>} */
  async #more() {
    const ask = async (/** @type {any} */ extra) => {
      const want = Math.min(MOST, this.#wanted + this.broken.size);
      const reply = await this.post("/api/next", {want, holding: this.holding.slice(0, MOST_HELD), ...extra});
      const unwanted = new Set([...this.holding, ...this.broken]); // an undo may have brought one back meanwhile
      return reply.questions.filter((/** @type {Question} */ {kind, query}) => this.kinds.has(kind) && !unwanted.has(query));
    };
    let questions = await ask({});
    if (!questions.length && this.again) questions = await ask({again: true}); // new questions go first
    this.dry = !questions.length;
    return questions;
  }

  /** @param {Question} question */
  async #stage(question) {
    /** @type {Staged} */
    const staged = {question, sheets: []};
    try {
      await load(staged);
      if (this.#stopped) return close(staged);
      this.#coming.shift();
      this.staged.push(staged);
      this.dispatchEvent(new Event("staged"));
    } catch (fault) {
      if (fault instanceof ApiError || !(fault instanceof BadClip)) throw fault; // a network error: try again later
      this.#coming.shift();
      this.broken.add(question.query);
    }
  }
}

/** Decode a question's clips, unless they are. @param {Staged} staged */
export async function load(staged) {
  if (staged.sheets.length) return;
  const loaded = await Promise.allSettled(staged.question.clips.map(decode));
  const sheets = loaded.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const failed = loaded.find((one) => one.status === "rejected");
  if (failed || staged.sheets.length) sheets.forEach((sheet) => sheet.bitmap.close()); // or another call has loaded them
  else staged.sheets = sheets;
  if (failed) throw /** @type {PromiseRejectedResult} */ (failed).reason;
  for (const {bitmap} of staged.sheets) WARM?.drawImage(bitmap, 0, 0, 8, 8, 0, 0, 8, 8); // to the GPU now, not at a key press
}

/** @param {Staged} staged */
export function close(staged) {
  staged.sheets.forEach((sheet) => sheet.bitmap.close());
  staged.sheets = [];
}
