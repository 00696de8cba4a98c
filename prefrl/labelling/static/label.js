// @ts-check
/** The labelling view: two clips, four answers, and nothing between an answer and the next pair. */

import {Ahead, load} from "./ahead.js";
import {emptyCard} from "./empty.js";
import {CHOSEN, ask, blurred, button, el, put} from "./dom.js";
import {icon} from "./icons.js";
import {CONTROLS, announced, control} from "./keys.js";
import {markdown} from "./markdown.js";
import {pair} from "./pair.js";
import {Player} from "./player.js";
import {progressLine} from "./progress.js";
import {calm, remember, setting} from "./settings.js";
import {modelCard} from "./strip.js";
import {swipes} from "./swipes.js";
import {MOVES, transport} from "./transport.js";
import {Turns} from "./turns.js";

/**
 * Where the view is: the page, or a notebook's cell.
 * @typedef {{sessions: import("./api.js").Sessions, outbox: import("./outbox.js").Outbox, labeller: string,
 *   status: import("./api.js").Status | null, recheck?: () => void,
 *   saveVideo?: (which: {ticket: string} | {seq: number}) => Promise<void>}} App
 */

/** The kinds of question that this page can show, one file each. @type {Record<string, import("./pair.js").Mode>} */
export const MODES = {pair};

const GUARD = 250; // ms after a new pair in which no answer counts: it was meant for the pair before
const HEARTBEAT = 20_000; // ms; leases last 60 s

export class LabelView {
  name = "label";
  title = "Label";
  mode = pair;
  #shownAt = 0;
  #awake = {since: 0, total: 0};
  #revealing = false;
  #hush = 0;
  /** Numbers of the answers that arrived since the server last counted. @type {number[]} */
  #since = [];
  /** Instructions on the page. @type {string | null} */
  #said = null;
  progress = progressLine();
  question = el("h1", {class: "question"});
  instructions = el("details", {class: "instructions", hidden: true}, el("summary", {onclick: blurred}, "Instructions"), el("div", {class: "prose"}));
  message = el("p", {class: "message", role: "status", "aria-live": "polite"});
  card = el("div", {class: "model-view", hidden: true});
  always = el("input", {type: "checkbox", checked: setting("model view", "no") === "yes"});

  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.empty = emptyCard({again: () => this.secondOpinions(), recheck: app.recheck});
    const {root, canvases} = this.mode.figures();
    this.post = (/** @type {string} */ path, /** @type {any} */ body) => app.sessions.post(path, app.labeller, body);
    this.ahead = new Ahead(this.post, Object.keys(MODES), () => [...this.turns.shown, ...app.outbox.queries]);
    this.turns = new Turns(this.ahead, app.outbox, app.labeller);
    this.player = new Player(canvases, () => this.transport.update());
    this.transport = transport(this.player);
    this.#build(root);
    swipes(root, (way) => this.choose(this.mode.swipes[way]), () => this.player.toggle());
    this.turns.addEventListener("turn", () => this.#show());
    this.turns.addEventListener("told", (event) => this.#told(/** @type {CustomEvent} */ (event).detail));
    this.ahead.addEventListener("staged", () => this.turns.advance());
    this.beat = setInterval(() => this.#heartbeat(), HEARTBEAT);
    document.addEventListener("visibilitychange", this.#clock);
    this.transport.update();
  }

  /** @param {HTMLElement} pairRoot */
  #build(pairRoot) {
    this.stage = el("div", {class: "stage", "aria-label": "The clips", role: "group"}, pairRoot);
    this.choices = el("div", {class: "choices", role: "group", "aria-label": "Your answer"}, ...this.mode.choices.map((one) =>
      button(one.label, {key: one.key, glyph: one.glyph, short: one.short, class: `choice ${one.choice}`, onclick: () => this.choose(one.choice)})));
    this.always.addEventListener("click", blurred);
    this.always.addEventListener("change", () => {
      remember("model view", this.always.checked ? "yes" : "no");
      this.#revealing = this.always.checked;
      this.#reveal();
    });
    this.transport.root.prepend(tool("undo", "undo", () => this.undo()));
    this.root = el("main", {class: "label", id: "main", tabindex: -1},
      el("div", {class: "screen"}, this.progress.root, el("div", {class: "ask-line"}, this.question, this.instructions), this.stage, this.empty.root,
        el("div", {class: "deck"}, this.message, this.transport.root, this.choices)),
      el("div", {class: "aside"}, tool("reveal", "eye", () => this.reveal()),
        el("label", {class: "check"}, this.always, el("span", {}, "Show the model's view after each answer")),
        this.app.saveVideo && tool("video", "video", () => this.video()), tool("flag", "flag", () => this.flag())),
      this.card);
  }

  // -- what a labeller can do ------------------------------------------------------------------------------------

  /** @param {string} choice */
  choose(choice) {
    const now = performance.now();
    if (!this.turns.now || !this.#shownAt || now - this.#shownAt < GUARD) return;
    const {loops, speed} = this.player;
    const timing = {decision_ms: Math.round(now - this.#shownAt), shown_ms: Math.round(this.#seen(now)), loops, speed};
    this.#revealing = this.always.checked;
    this.turns.answer(choice, timing);
    this.#flash(choice);
    this.#say(`Your answer: ${CHOSEN[choice].toLowerCase()}`);
    this.#count();
    this.#refill();
  }

  undo() {
    this.#revealing = false;
    if (!this.turns.undo()) return this.#say("Nothing to undo on this page; older answers are in the history");
    this.#say(`Taken back: ${CHOSEN[this.turns.now?.was ?? ""].toLowerCase()}. Answer this pair again`);
  }

  /** The model's view of the pair answered last, on or off. */
  reveal() {
    this.#revealing = !this.#revealing;
    if (this.#revealing && !this.turns.last?.model)
      this.#say(this.turns.last ? "The reward model has no view of your last answer yet" : "Answer a pair first");
    this.#reveal();
  }

  async flag() {
    const shown = this.turns.now;
    if (!shown || !this.#shownAt) return;
    this.player.pause();
    const note = await ask({title: "Report a broken pair", text: "Nobody will be asked this pair again. What is wrong with it?", most: 500, ok: "Report", within: this.root});
    if (note === null || this.turns.now !== shown) return;
    try {
      await this.post("/api/flag", {query: shown.question.query, note});
      this.turns.drop();
      this.#say("Reported. Nobody will be asked this pair again");
      this.#refill();
    } catch (fault) {
      this.#say(`Not reported: ${/** @type {Error} */ (fault).message}`);
    }
  }

  /** The pair on the screen as a video. It tells nothing that the screen does not. */
  async video() {
    const pair = this.turns.now;
    if (!pair || !this.#shownAt || !this.app.saveVideo) return;
    if (pair.pending) return this.#say("The answer is still being taken back; try again in a moment");
    this.#say("Making the video of this pair; it takes a few seconds and you can go on");
    try {
      await this.app.saveVideo({ticket: pair.question.ticket});
      this.#say("The video is in your downloads");
    } catch (fault) {
      this.#say(`No video: ${/** @type {Error} */ (fault).message}`);
    }
  }

  secondOpinions() {
    this.ahead.again = true;
    this.#say("Looking for answered questions");
    this.#refill();
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key was ours */
  key(event) {
    const choice = this.mode.choices.find((one) => one.key === event.key);
    const named = CONTROLS.find((one) => one.keys.includes(event.key))?.name;
    if (choice) this.choose(choice.choice);
    else if (named === "undo" || named === "reveal" || named === "video" || named === "flag") this[named]();
    else if (named && this.turns.now) MOVES[named](this.player);
    return Boolean(choice || named);
  }

  // -- coming and going ------------------------------------------------------------------------------------------

  enter() {
    this.#clock();
    this.#show();
    this.#refill();
  }

  leave() {
    this.player.clear();
    this.#clock();
  }

  /** Give the leases back: the page goes, or another labeller comes. */
  stop() {
    clearInterval(this.beat);
    document.removeEventListener("visibilitychange", this.#clock);
    this.player.clear();
    this.empty.stop();
    this.turns.stop();
    this.ahead.stop();
  }

  /** @param {import("./api.js").Status} status */
  status(status) {
    this.#since = this.#since.filter((seq) => seq > status.seq);
    this.#count();
    put(this.question, status.question || "In which clip do better things happen?");
    if (this.#said !== status.instructions) {
      this.#said = status.instructions;
      this.instructions.hidden = !status.instructions;
      put(this.instructions.lastChild, ...markdown(status.instructions));
    }
    this.empty.update(status, this.ahead);
    if (this.turns.now && !this.#shownAt) this.#show(); // a clip that could not be loaded: again
    if (status.ready > 0 || this.ahead.again) this.#refill();
  }

  // -- the screen ------------------------------------------------------------------------------------------------

  /** Put the pair whose turn it is on the screen: in this very frame if it is decoded. */
  #show() {
    const staged = this.turns.now;
    this.#shownAt = 0;
    this.#reveal();
    if (!this.root.isConnected) return; // another page is open; coming back shows it
    const waiting = !staged && this.ahead.dry;
    this.stage.hidden = waiting;
    this.empty.root.hidden = !waiting;
    this.stage.classList.toggle("loading", !staged?.sheets.length);
    this.root.classList.toggle("idle", !staged);
    for (const one of this.choices.children) one.classList.toggle("was", one.classList.contains(staged?.was ?? "-"));
    if (!staged) return this.player.clear();
    if (!staged.sheets.length) return this.#restore(staged);
    this.player.playing = !calm();
    this.player.show(staged.sheets);
    this.#shownAt = performance.now();
    this.#awake = {since: document.hidden ? 0 : this.#shownAt, total: 0};
  }

  /** An undone pair that was no longer in memory. @param {import("./ahead.js").Staged} staged */
  async #restore(staged) {
    this.player.clear();
    try {
      await load(staged);
      if (this.turns.now === staged && this.root.isConnected) this.#show();
    } catch (fault) {
      this.#say(`The clips cannot be loaded now (${/** @type {Error} */ (fault).message}); trying again`);
    }
  }

  async #refill() {
    await new Promise((resolve) => setTimeout(resolve)); // paint first
    await this.ahead.fill();
    this.turns.advance();
    if (!this.turns.now) this.#show();
    if (this.app.status) this.empty.update(this.app.status, this.ahead);
  }

  /** @param {{answered: import("./turns.js").Answered, reply: any}} detail */
  #told({answered, reply}) {
    if (reply.code === "answered_already") this.#say("Somebody else was faster; your answer is kept as a second opinion");
    else this.#since.push(reply.seq);
    if (answered === this.turns.last) this.#reveal();
  }

  /** The server's count, and what it does not know yet. */
  #count() {
    const kept = this.app.outbox.entries.filter((entry) => entry.kind === "answer");
    if (this.app.status) this.progress.update(this.app.status, this.#since.length + kept.length);
  }

  /** Only ever about an answer that was given; never about the pair on the screen. */
  #reveal() {
    const last = this.turns.last;
    const shown = Boolean(this.#revealing && last?.model);
    this.card.hidden = !shown && !this.always.checked; // where it comes after each answer it keeps its place
    if (!shown || !last?.model) return put(this.card);
    last.pair.revealed = true;
    put(this.card, modelCard(last.model, last.choice, last.pair.sheets));
  }

  /** @param {string} choice */
  #flash(choice) {
    const pressed = this.choices.querySelector(`.choice.${choice}`);
    pressed.classList.add("flash");
    setTimeout(() => pressed.classList.remove("flash"), 180);
  }

  /** @param {string} text said once, then it goes: the pair on the screen is another by then */
  #say(text) {
    put(this.message, text);
    clearTimeout(this.#hush);
    this.#hush = setTimeout(() => put(this.message), 1500 + 60 * text.length);
  }

  // -- time and leases -------------------------------------------------------------------------------------------

  /** Milliseconds for which the pair could be seen. @param {number} now */
  #seen(now) {
    return this.#awake.total + (this.#awake.since ? now - this.#awake.since : 0);
  }

  #clock = () => {
    const now = performance.now();
    const visible = !document.hidden && this.root.isConnected;
    this.#awake = {total: this.#seen(now), since: visible ? now : 0};
    if (visible) this.#heartbeat();
  };

  #heartbeat() {
    const holding = this.ahead.holding.slice(0, 64);
    if (holding.length && !document.hidden) this.post("/api/heartbeat", {holding}).catch(() => {}); // the next one will do
  }
}

/** @param {string} name @param {string} picture @param {() => void} act */
function tool(name, picture, act) {
  const key = control(name);
  const made = button(key.label, {key: announced(key), glyph: key.glyph, class: `tool ${name}`, title: key.help, onclick: act});
  made.prepend(icon(picture));
  return made;
}
