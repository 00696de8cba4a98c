// @ts-check
/** The keys, the instructions of this run, and how to judge clips. */

import {el, put} from "./dom.js";
import {CONTROLS, PAGES} from "./keys.js";
import {markdown} from "./markdown.js";
import {pair} from "./pair.js";

/** @type {Record<string, string>} */
const MEANING = {
  left: "better things happen in the left clip", right: "better things happen in the right clip",
  equal: "both are equally good, or equally bad", skip: "you cannot tell; try to use it seldom",
};

const ADVICE = `
- Judge only what you **see happen in the clip**, not how the agent got there or what may come next.
- If one is only a little better, say that one. *Equally good* is for clips that you would not trade for each other.
- Your first impression is usually right: three to five seconds are plenty. Slow a clip down when it is too quick.
- A slip costs nothing: press \`z\` and answer again, or revise it later in the history.
- Take a break after twenty minutes or so.
`;

export class HelpView {
  name = "help";
  title = "Help";
  /** Instructions on the page. @type {string | null} */
  #said = null;

  /** @param {import("./main.js").App} app */
  constructor(app) {
    this.app = app;
    this.instructions = el("section", {class: "card prose", hidden: true});
    this.root = el("main", {class: "help", id: "main", tabindex: -1}, this.instructions,
      el("section", {class: "card prose"}, el("h2", {}, "How to judge"), ...markdown(ADVICE)),
      el("section", {class: "card"}, el("h2", {}, "Keys"),
        el("p", {class: "note"}, "Every key is also a button. On a touch screen, swipe over the clips: left, right, up for equal, down for cannot tell; tap to pause."),
        table("Your answer", pair.choices.map((one) => [[one.glyph], one.label, MEANING[one.choice]])),
        table("Clips and answers", CONTROLS.map((key) => [key.keys.map(shown), key.label, key.help])),
        table("Pages", PAGES.map((key) => [key.keys.map(shown), key.label, key.help]))));
  }

  /** @param {import("./api.js").Status} status */
  status(status) {
    if (this.#said === status.instructions) return;
    this.#said = status.instructions;
    this.instructions.hidden = !status.instructions;
    put(this.instructions, el("h2", {}, "Instructions for this run"), ...markdown(status.instructions));
  }
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
