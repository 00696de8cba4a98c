// @ts-check
/** The widget "choices": the clips side by side, and a button, a key and a swipe for each answer that the kind offers. */

import {button, el} from "./dom.js";

/**
 * What a labeller gives: answer is what is sent, null to skip; favours: the place that it prefers, from 0.
 * @typedef {{answer: any, word: string, label: string, clear: boolean, favours: number | null}} Given
 * @typedef {Given & {short: string, key: string, glyph: string, swipe: string, meaning: string}} Choice
 * A kind of question as the server describes it; places: what its clips are called, in the order shown.
 * @typedef {{name: string, widget: string, question: string, segments: number, places: string[], outcomes: string[], choices: Choice[]}} Kind
 * How a kind of question is asked. mark: show which answer was taken back; flash: show which one was given.
 * @typedef {{figures: HTMLElement, canvases: HTMLCanvasElement[], controls: HTMLElement, key: (event: KeyboardEvent) => boolean,
 *   swiped: (way: string) => void, mark: (given?: Given) => void, flash: (given: Given) => void}} Widget
 */

/** @param {Kind} kind @param {(given: Given) => void} give @returns {Widget} */
export function choices(kind, give) {
  const buttons = choiceButtons(kind, "choice", give);
  const controls = el("div", {class: "choices", role: "group", "aria-label": "Your answer", "data-count": buttons.length}, ...buttons);
  controls.style.setProperty("--count", String(buttons.length));
  const of = (/** @type {Given | undefined} */ given) => buttons[kind.choices.findIndex((one) => one.word === given?.word)];
  const chosen = (/** @type {Choice | undefined} */ choice) => {
    if (choice) give(choice);
    return Boolean(choice);
  };
  return {
    ...figures(kind), controls,
    key: (event) => chosen(kind.choices.find((one) => one.key === event.key)),
    swiped: (way) => void chosen(kind.choices.find((one) => one.swipe === way)),
    mark: (given) => buttons.forEach((one) => one.classList.toggle("was", one === of(given))),
    flash: (given) => {
      const pressed = of(given);
      pressed?.classList.add("flash");
      setTimeout(() => pressed?.classList.remove("flash"), 180);
    },
  };
}

/** A button for each choice. @param {Kind} kind @param {string} look @param {(choice: Choice) => void} give */
export function choiceButtons(kind, look, give) {
  const small = look !== "choice";
  return kind.choices.map((one) => button(one.label, {
    key: small ? undefined : one.key, glyph: small ? undefined : one.glyph, short: one.short, class: `${look} ${one.swipe}`, onclick: () => give(one),
  }));
}

/** Canvases for the clips of a question. @param {Kind} kind */
export function figures(kind) {
  const canvases = kind.places.map((place) => el("canvas", {role: "img", "aria-label": named(place), class: "clip", width: 3, height: 2}));
  const framed = canvases.map((canvas, k) => el("figure", {class: "side"},
    el("div", {class: "frame"}, el("div", {class: "fitted"}, el("figcaption", {}, capital(kind.places[k])), canvas))));
  const root = el("div", {class: "figures"}, ...framed);
  root.style.setProperty("--clips", String(canvases.length));
  return {figures: root, canvases};
}

/** "Left clip" for the place "left". @param {string | undefined} place */
export function named(place) {
  return place ? `${capital(place)} clip` : "Clip";
}

/** @param {string} word */
function capital(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
