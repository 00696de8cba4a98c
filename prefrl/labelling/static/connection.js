// @ts-check
/** What the page and a notebook's cell share: sessions, unsent answers, the server's status, and a banner about trouble. */

import {ApiError, Sessions, get} from "./api.js";
import {button, count, el, put} from "./dom.js";
import {Outbox} from "./outbox.js";

/** @typedef {import("./api.js").Status} Status */

export const EVERY = 2_000; // ms between two requests for the status

export class Connection {
  sessions = new Sessions();
  outbox = new Outbox(this.sessions);
  labeller = "";
  /** @type {Status | null} */
  status = null;
  /** @type {ApiError | null} */
  fault = null;
  banner = el("div", {class: "banner", role: "alert", hidden: true});
  #shown = "";

  constructor() {
    this.outbox.addEventListener("change", () => this.showTrouble());
  }

  /** Fetch the status, and pass it on. */
  async look() {
    try {
      const {session} = await this.sessions.of(this.labeller);
      const status = /** @type {Status} */ (await get("/api/status", {session}));
      this.status = status;
      this.fault = null;
      this.received(status);
    } catch (fault) {
      if (!(fault instanceof ApiError)) throw fault;
      if (fault.code.includes("session")) this.sessions.forget(this.labeller);
      else this.fault = fault;
    }
    this.showTrouble();
  }

  /** Show a new status. @param {Status} _status */
  received(_status) {}

  /** Why nothing can be sent now, or "". @param {string} _kept how many answers wait in this browser, or "" @returns {string} */
  interruption(_kept) {
    return "";
  }

  showTrouble() {
    const {waiting, refused} = this.outbox;
    const kept = waiting ? ` ${count(waiting, "answer is", "answers are")} kept in this browser and will be sent` : "";
    const trouble = this.interruption(kept) || (this.fault?.message ?? this.status?.trouble);
    const text = trouble || (refused ? `The server did not take ${count(refused, "answer")}.` : "");
    this.banner.hidden = !text;
    if (text === this.#shown) return; // it would be read aloud again
    this.#shown = text;
    put(this.banner, text, text && !trouble && button("Dismiss", {onclick: () => this.outbox.dismissRefused()}));
  }

  /**
   * Read-only state of a labelling view, for tests and debugging. drawn: the frame on each canvas, -1 for none.
   * @param {() => import("./label.js").LabelView | null} view
   */
  inspected(view) {
    const {outbox} = this;
    return Object.freeze({
      get drawn() { return [...(view()?.player.drawn ?? [])]; },
      get query() { return view()?.turns.now?.question.query ?? null; },
      get answerable() { return view()?.answerable ?? false; },
      get playing() { return view()?.player.playing ?? false; },
      get speed() { return view()?.player.speed ?? 0; },
      get loops() { return view()?.player.loops ?? 0; },
      get ahead() { return view()?.ahead.staged.length ?? 0; },
      get outbox() { return outbox.waiting; },
    });
  }
}
