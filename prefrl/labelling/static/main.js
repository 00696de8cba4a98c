// @ts-check
/** The page: the labeller, the open view, the server's status, and one listener for all keys. */

import {ApiError, get} from "./api.js";
import {Connection, EVERY} from "./connection.js";
import {ask, button, el, put} from "./dom.js";
import {HelpView} from "./help.js";
import {HistoryView} from "./history.js";
import {icon} from "./icons.js";
import {PAGES, isForPage} from "./keys.js";
import {LabelView} from "./label.js";
import {applyTheme, nextTheme, remember, setting} from "./storage.js";
import {TeamView} from "./team.js";

/**
 * @typedef {{name: string, root: HTMLElement, enter?: () => void, leave?: () => void,
 *   key?: (event: KeyboardEvent) => boolean, status?: (status: import("./api.js").Status) => void}} View
 */

const NAMES = 40; // characters that a name may have

export class App extends Connection {
  /** @type {View | null} */
  view = null;
  /** @type {Record<string, View>} */
  #views = {};

  async start() {
    this.#frame(applyTheme());
    addEventListener("hashchange", () => this.#route());
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("beforeunload", (event) => this.outbox.waiting && event.preventDefault());
    addEventListener("pagehide", () => this.#goodbye());
    addEventListener("pageshow", (event) => event.persisted && location.reload()); // its leases are gone
    await this.#introduce(setting("labeller", ""));
    setInterval(() => this.look(), EVERY);
  }

  recheck = () => void (location.hash = "#/history?mine");

  /** Fetch the status, once the labeller is known. */
  look() {
    return this.labeller ? super.look() : this.#introduce(setting("labeller", ""));
  }

  /** @param {import("./api.js").Status} status */
  received(status) {
    if (this.runName.textContent !== status.run) {
      put(this.runName, status.run);
      this.outbox.start(status.run);
    }
    this.nav.querySelector("[data-view=team]").hidden = status.role !== "experimenter";
    document.title = status.ready ? `(${status.ready}) ${status.run}` : status.run;
    if (this.outbox.trouble === "offline") this.outbox.send();
    this.view?.status?.(status);
  }

  /** Open a session under a name, asking for it when none is known. @param {string} name */
  async #introduce(name) {
    if (this.asking) return;
    this.asking = true;
    try {
      const wanted = name || (await this.#named());
      const {labeller} = await this.sessions.of(wanted);
      this.fault = null;
      this.#become(labeller);
    } catch (fault) {
      if (!(fault instanceof ApiError)) throw fault;
      this.fault = fault;
      if (name && fault.status === 422) remember("labeller", ""); // a name of another version: ask again
    } finally {
      this.asking = false;
    }
    this.showTrouble();
  }

  /** Ask for a name, unless the address was an invitation for one. @returns {Promise<string>} */
  async #named() {
    const {labeller, role} = await get("/api/status");
    if (role === "labeller") return labeller;
    const text = "A name or pseudonym. It is stored with every answer, and others on this run can see it.";
    return (await ask({title: "Who labels?", text, value: labeller, most: NAMES, ok: "Start", must: true})) || labeller;
  }

  /** @param {string} labeller as the server knows them */
  #become(labeller) {
    remember("labeller", labeller);
    this.labeller = labeller;
    put(this.nameTag, labeller);
    /** @type {LabelView | undefined} */ (this.#views.label)?.stop();
    this.view?.leave?.();
    this.view = null;
    this.#views = {label: new LabelView(this), history: new HistoryView(this), team: new TeamView(this), help: new HelpView(this)};
    this.#route();
    this.look();
  }

  async #rename() {
    const name = await ask({title: "Who labels?", text: "The next answers are stored under this name.", value: this.labeller, most: NAMES, ok: "Change", must: false});
    if (!name || name === this.labeller) return;
    this.#goodbye();
    await this.#introduce(name);
  }

  /** @param {string} theme */
  #frame(theme) {
    this.runName = el("span", {class: "run"});
    this.nameTag = el("span", {class: "label"});
    const link = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ glyph) =>
      el("a", {href: `#/${name}`, "data-view": name, "aria-keyshortcuts": glyph || null}, label, glyph && el("kbd", {"aria-hidden": "true"}, glyph));
    this.nav = el("nav", {"aria-label": "Pages"}, link("label", "Label", ""), link("history", "History", "h"), link("team", "Team", ""), link("help", "Help", "?"));
    const look = button("", {class: "tool", title: `Colours: ${theme}`, onclick: () => {
      look.title = `Colours: ${nextTheme()}`;
      look.setAttribute("aria-label", look.title);
    }});
    look.setAttribute("aria-label", `Colours: ${theme}`);
    look.replaceChildren(icon("theme"));
    const who = button("", {class: "tool who-am-i", title: "Who labels: change the name", onclick: () => this.#rename()});
    who.replaceChildren(icon("person"), this.nameTag);
    this.place = el("div", {class: "place-of-view"}, el("main", {class: "hello"}, "Loading …"));
    document.body.replaceChildren(el("a", {class: "skip-link", href: "#main", onclick: (/** @type {Event} */ event) => {
      event.preventDefault();
      document.getElementById("main")?.focus();
    }}, "Skip to the page"), el("header", {}, el("span", {class: "brand"}, "prefrl"), this.runName, this.nav, look, who), this.banner, this.place);
  }

  /** @param {string} kept */
  interruption(kept) {
    const offline = this.fault?.passing || this.outbox.trouble === "offline";
    if (this.fault?.status === 401 || this.outbox.trouble === "locked")
      return `This page may not talk to the server any more, perhaps because that was restarted. Open the address that it prints.${kept && `${kept} then.`}`;
    if (offline && !kept && this.status?.trainer.state === "finished")
      return "The training has finished, and its page with it. All your answers are stored; prefrl label, with the run's folder, opens it again.";
    if (offline) return `No connection to the label server.${kept || " What you answer is kept in this browser"} ${kept ? "when" : "until"} it is back.`;
    return "";
  }

  #route() {
    const name = /^#\/(\w+)/.exec(location.hash)?.[1] ?? "label";
    const next = this.#views[name] ?? this.#views.label;
    if (!next) return;
    if (this.view !== next) {
      const before = this.view;
      this.place.replaceChildren(next.root);
      before?.leave?.();
      this.view = next;
    }
    for (const one of this.nav.children) {
      if (one.dataset.view === next.name) one.setAttribute("aria-current", "page");
      else one.removeAttribute("aria-current");
    }
    if (this.status) next.status?.(this.status);
    next.enter?.();
    scrollTo(0, 0);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!isForPage(event) || !this.view) return;
    const page = PAGES.find((one) => one.keys.includes(event.key))?.name;
    if (page) location.hash = `#/${page === this.view.name ? "label" : page}`;
    if (page || this.view.key?.(event)) event.preventDefault();
  }

  #goodbye() {
    if (this.labeller) this.sessions.leave(this.labeller);
  }
}

const app = new App();
app.start();

Object.defineProperty(window, "prefrl", {value: app.inspected(() => (app.view instanceof LabelView ? app.view : null))});
