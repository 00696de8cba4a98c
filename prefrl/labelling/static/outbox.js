// @ts-check
/**
 * Queue of answers and corrections that the server has not confirmed. They are in localStorage from the key press on,
 * are sent in order with the same ticket until a reply comes, and survive the tab, the browser and the server.
 */

import {ApiError} from "./api.js";
import {ticket} from "./dom.js";
import {storage} from "./storage.js";

/**
 * @typedef {"answer" | "withdraw" | "revise"} Kind
 * @typedef {{
 *   id: string, order: number, kind: Kind, run: string, labeller: string, body: any, tried: boolean,
 *   ticket: string | null, after: string | null, of: string | null, seq: number | null,
 * }} Entry
 * ticket: what makes a resent answer count once; after: the entry whose reply brings it, where an undone question is
 * answered again; of: the answer that is withdrawn, by entry, until its seq is known
 */

const WAITING = "prefrl-outbox:";
const REFUSED = "prefrl-refused:";
const LONGEST = 5_000; // ms between two tries
const REPEATED = 6; // failures in a row of one entry, while the server runs, before others go first

/** @type {Record<Kind, (entry: Entry) => [string, any]>} */
const REQUESTS = {
  answer: (entry) => ["/api/answers", {ticket: entry.ticket, ...entry.body}],
  withdraw: (entry) => [`/api/answers/${entry.seq}/withdraw`, {ticket: entry.id}],
  revise: (entry) => [`/api/answers/${entry.seq}/revise`, {ticket: entry.id, ...entry.body}],
};

/** Events: "change" (something came or went), "done" {entry, reply}, "refused" {entry, fault}. */
export class Outbox extends EventTarget {
  /** @type {Entry[]} */
  entries = [];
  /** What stops it: "", "offline" or "locked" (the server wants a new token). */
  trouble = "";
  #run = "";
  #order = 0;
  #tries = 0;
  #sending = false;
  #timer = 0;

  /** @param {{post: (path: string, labeller: string, body: any) => Promise<any>}} sessions */
  constructor(sessions) {
    super();
    this.sessions = sessions;
    addEventListener("online", this.#online);
  }

  #online = () => this.send();

  /** Stop sending. Unsent entries stay in localStorage for the next page. */
  stop() {
    removeEventListener("online", this.#online);
    clearTimeout(this.#timer);
    this.#run = "";
  }

  /** Start sending for this run, entries left by earlier pages first. @param {string} run */
  start(run) {
    this.#run = run;
    const left = stored(WAITING).filter((entry) => entry.run === run && !this.entries.some((e) => e.id === entry.id));
    this.entries = [...left, ...this.entries].sort((a, b) => a.order - b.order);
    this.#changed();
    this.send();
  }

  /** Number of entries that are not confirmed yet. */
  get waiting() {
    return this.entries.length;
  }

  /** Ids of questions whose answers are not confirmed yet. */
  get queries() {
    return this.entries.filter((entry) => entry.kind === "answer").map((entry) => Number(entry.body.query));
  }

  /** Answers that the server would not take; they stay in this browser until dismissed. */
  get refused() {
    return stored(REFUSED).length;
  }

  dismissRefused() {
    for (const entry of stored(REFUSED)) storage((kept) => kept.removeItem(REFUSED + entry.id));
    this.#changed();
  }

  /** Keep and send. Returns the entry's id. @param {Kind} kind @param {string} labeller @param {Partial<Entry>} fields */
  add(kind, labeller, fields) {
    this.#order = Math.max(this.#order + 1, Date.now() * 1000);
    /** @type {Entry} */
    const entry = {
      id: ticket(), order: this.#order, kind, run: this.#run, labeller, body: {}, tried: false,
      ticket: null, after: null, of: null, seq: null, ...fields,
    };
    this.entries.push(entry);
    save(WAITING + entry.id, entry);
    this.#changed();
    setTimeout(() => this.send()); // the next question is painted first
    return entry.id;
  }

  /** Take back an answer that was never sent. False if it may have arrived: then it needs a withdrawal. @param {string} id */
  unsent(id) {
    const entry = this.entries.find((one) => one.id === id);
    if (!entry || entry.tried || read(WAITING + id)?.tried) return false;
    this.#drop(entry);
    return true;
  }

  /** Send all, in order; stops at the first that cannot be sent now. */
  async send() {
    if (this.#sending || !this.#run) return;
    this.#sending = true;
    clearTimeout(this.#timer);
    try {
      while (this.entries.length && this.#run) await this.#deliver(this.entries[0]);
      this.#settle("");
    } catch (fault) {
      this.#postpone(/** @type {ApiError} */ (fault));
    } finally {
      this.#sending = false;
    }
  }

  /** @param {Entry} entry */
  async #deliver(entry) {
    entry.tried = true;
    save(WAITING + entry.id, entry);
    const [path, body] = REQUESTS[entry.kind](entry);
    try {
      const reply = await this.sessions.post(path, entry.labeller, body);
      this.#tries = 0;
      this.#finish(entry, reply);
    } catch (fault) {
      if (!(fault instanceof ApiError) || fault.passing || fault.status === 401) throw fault;
      if (fault.code === "answered_already" && fault.body.seq) this.#finish(entry, fault.body); // answered by another meanwhile: kept as an opinion
      else this.#refuse(entry, fault);
    }
  }

  /** @param {Entry} entry @param {any} reply */
  #finish(entry, reply) {
    for (const other of this.entries) {
      if (other.of === entry.id) other.seq = reply.seq;
      if (other.after === entry.id) other.ticket = reply.question?.ticket ?? ticket();
      if (other.of === entry.id || other.after === entry.id) save(WAITING + other.id, other);
    }
    this.#drop(entry);
    this.#settle("");
    this.dispatchEvent(new CustomEvent("done", {detail: {entry, reply}}));
  }

  /** @param {Entry} entry @param {ApiError} fault */
  #refuse(entry, fault) {
    for (const other of this.entries.filter((one) => one.of === entry.id)) this.#drop(other);
    for (const other of this.entries.filter((one) => one.after === entry.id)) other.ticket = ticket();
    save(REFUSED + entry.id, {...entry, why: fault.message});
    this.#drop(entry);
    this.dispatchEvent(new CustomEvent("refused", {detail: {entry, fault}}));
  }

  /** @param {ApiError} fault */
  #postpone(fault) {
    this.#tries += 1;
    if (fault.status >= 500 && this.#tries % REPEATED === 0) {
      const [first, ...others] = this.entries;
      const tied = others.filter((one) => one.of === first.id || one.after === first.id);
      this.entries = [...others.filter((one) => !tied.includes(one)), first, ...tied];
    }
    this.#settle(fault.status === 401 ? "locked" : "offline");
    if (!this.#run) return;
    this.#timer = setTimeout(() => this.send(), Math.min(LONGEST, 250 * 2 ** this.#tries));
  }

  /** @param {string} trouble */
  #settle(trouble) {
    if (trouble === this.trouble) return;
    this.trouble = trouble;
    this.#changed();
  }

  /** @param {Entry} entry */
  #drop(entry) {
    this.entries = this.entries.filter((one) => one !== entry);
    storage((kept) => kept.removeItem(WAITING + entry.id));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Where it cannot be kept it still is sent from memory, and closing the page warns. @param {string} key @param {any} value */
function save(key, value) {
  storage((kept) => kept.setItem(key, JSON.stringify(value)));
}

/** @param {string} key @returns {any} */
function read(key) {
  return storage((kept) => JSON.parse(kept.getItem(key) ?? "null"));
}

/** All entries stored under a prefix, the oldest first. @param {string} prefix @returns {Entry[]} */
function stored(prefix) {
  const keys = storage((kept) => Object.keys(kept).filter((key) => key.startsWith(prefix))) ?? [];
  return keys.map(read).filter((entry) => entry?.id).sort((a, b) => a.order - b.order);
}
