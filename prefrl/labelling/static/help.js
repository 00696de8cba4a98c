// @ts-check
/** The keys, the instructions of this run, and how to judge clips. */

import {el, put} from "./dom.js";
import {CONTROLS, PAGES} from "./keys.js";
import {markdown} from "./markdown.js";

const ADVICE = `
- Judge only what you **see happen in the clip**, not how the agent got there or what may come next.
- Your first impression is usually right: three to five seconds are plenty. Slow a clip down when it is too quick.
- A slip costs nothing: press \`z\` and answer again, or revise it later in the history.
- Take a break after twenty minutes or so.
`;

export class HelpView {
  name = "help";
  /** Instructions on the page. @type {string | null} */
  #instructionsText = null;
  /** Kinds on the page, by name. */
  #kinds = "";

  /** @param {import("./main.js").App} app */
  constructor(app) {
    this.app = app;
    this.instructions = el("section", {class: "card prose", hidden: true});
    this.answers = el("div");
    this.root = el("main", {class: "help", id: "main", tabindex: -1}, this.instructions,
      el("section", {class: "card prose"}, el("h2", {}, "How to judge"), ...markdown(ADVICE)),
      el("section", {class: "card"}, el("h2", {}, "Keys"),
        el("p", {class: "note"}, "Every key is also a button. On a touch screen, tap on the clips to pause."), this.answers,
        table("Clips and answers", CONTROLS.map((key) => [key.keys.map(shown), key.label, key.help])),
        table("Pages", PAGES.map((key) => [key.keys.map(shown), key.label, key.help]))));
  }

  /** @param {import("./api.js").Status} status */
  status(status) {
    const kinds = Object.values(status.kinds).filter((kind) => kind.choices.length);
    const names = kinds.map((kind) => kind.name).join();
    if (this.#kinds !== names) put(this.answers, ...kinds.flatMap((kind) => answers(kind, kinds.length > 1 ? kind.question : "Your answer")));
    this.#kinds = names;
    if (this.#instructionsText === status.instructions) return;
    this.#instructionsText = status.instructions;
    this.instructions.hidden = !status.instructions;
    put(this.instructions, el("h2", {}, "Instructions for this run"), ...markdown(status.instructions));
  }
}

/** @param {import("./choices.js").Kind} kind @param {string} title */
function answers(kind, title) {
  const swipes = kind.choices.filter((one) => one.swipe).map((one) => `${one.swipe} for ${one.short.toLowerCase()}`);
  return [table(title, kind.choices.map((one) => [[one.glyph], one.label, one.meaning])),
    swipes.length ? el("p", {class: "note"}, `Swipe: ${swipes.join(", ")}.`) : null];
}

/** @param {string} key */
function shown(key) {
  return {" ": "space", Escape: "esc", Backspace: "⌫"}[key] ?? key;
}

/** @param {string} title @param {[string[], string, string][]} rows */
function table(title, rows) {
  const lines = rows.map(([keys, label, meaning]) => el("tr", {},
    el("th", {scope: "row"}, ...keys.map((key) => el("kbd", {}, key))), el("td", {}, el("b", {}, label), " ", el("span", {}, meaning))));
  return el("table", {class: "keys"}, el("caption", {}, title), el("tbody", {}, ...lines));
}
