// @ts-check
/** Order of questions: the one on the screen, those answered before it, and undo. Independent of the display. */

import {close} from "./prefetch.js";
import {ticket} from "./dom.js";

/**
 * @typedef {import("./prefetch.js").Staged} Staged
 * @typedef {import("./api.js").ModelView} ModelView
 * @typedef {import("./choices.js").Given} Given
 * @typedef {{staged: Staged, id: string, given: Given, seq: number | null, model: ModelView | null}} Answered
 * id: of the answer in the outbox
 * @typedef {{decision_ms: number, shown_ms: number, loops: number, speed: number}} Timing
 */

const KEPT = 2; // answered questions whose clips stay decoded, so that undo needs no loading

/** Events: "turn" when another question is due on the screen (or none), "stored" {answered, reply} when an answer arrived. */
export class Turns extends EventTarget {
  /** @type {Staged | null} */
  now = null;
  /** @type {Answered[]} */
  past = [];

  #over = new AbortController();

  /** @param {import("./prefetch.js").Prefetcher} ahead @param {import("./outbox.js").Outbox} outbox @param {string} labeller */
  constructor(ahead, outbox, labeller) {
    super();
    this.ahead = ahead;
    this.outbox = outbox;
    this.labeller = labeller;
    const {signal} = this.#over;
    outbox.addEventListener("done", (event) => this.#done(/** @type {CustomEvent} */ (event).detail), {signal});
    outbox.addEventListener("refused", (event) => this.#renewed(/** @type {CustomEvent} */ (event).detail.entry.id, null), {signal});
  }

  /** Ids on the screen, for the server not to give them to others. */
  get shown() {
    return this.now ? [this.now.question.query] : [];
  }

  /** The answer before this question. @returns {Answered | undefined} */
  get last() {
    return this.past[this.past.length - 1];
  }

  /** Take the next question if there is none. */
  advance() {
    if (!this.now && this.ahead.staged.length) this.#next();
  }

  /** Answer the question on the screen and go on to the next at once. @param {Given} given @param {Timing} timing */
  answer(given, timing) {
    const staged = /** @type {Staged} */ (this.now);
    const {query} = staged.question;
    const id = this.outbox.add("answer", this.labeller, {
      ticket: staged.pending ? null : staged.question.ticket,
      after: staged.pending ?? null,
      body: {query, answer: given.answer, ...timing, revealed: staged.revealed ?? false},
    });
    this.past.push({staged, id, given, seq: null, model: null});
    this.past.slice(0, -KEPT).forEach((one) => close(one.staged));
    this.#next();
  }

  /** Back to the question answered last. False when there is none. */
  undo() {
    const last = this.past.pop();
    if (!last) return false;
    if (this.now) this.ahead.putBack(this.now);
    last.staged.was = last.given;
    if (!this.outbox.unsent(last.id))
      last.staged.pending = this.outbox.add("withdraw", this.labeller, {of: last.id, seq: last.seq});
    this.now = last.staged;
    this.dispatchEvent(new Event("turn"));
    return true;
  }

  /** Put the question on the screen away without an answer. */
  drop() {
    if (this.now) close(this.now);
    this.#next();
  }

  stop() {
    this.#over.abort();
    for (const one of this.#all()) close(one);
    this.now = null;
    this.past = [];
  }

  #all() {
    return [...(this.now ? [this.now] : []), ...this.ahead.staged, ...this.past.map((one) => one.staged)];
  }

  /** @param {{entry: import("./outbox.js").Entry, reply: any}} detail */
  #done({entry, reply}) {
    if (entry.kind === "withdraw") this.#renewed(entry.id, reply.question?.ticket ?? null);
    const answered = this.past.find((one) => one.id === entry.id);
    if (!answered) return;
    answered.seq = reply.seq;
    answered.model = reply.model ?? null;
    this.dispatchEvent(new CustomEvent("stored", {detail: {answered, reply}}));
  }

  /** The question of a withdrawal can be answered again. @param {string} withdrawal @param {string | null} fresh */
  #renewed(withdrawal, fresh) {
    for (const one of this.#all().filter((one) => one.pending === withdrawal)) {
      one.pending = null;
      one.question = {...one.question, ticket: fresh ?? ticket()};
    }
  }

  #next() {
    this.now = this.ahead.take() ?? null;
    this.dispatchEvent(new Event("turn"));
  }
}
