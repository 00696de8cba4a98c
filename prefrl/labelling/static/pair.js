// @ts-check
/** The mode "pair": two clips, which is better? Another kind of question is another file with these exports. */

import {el} from "./dom.js";

/**
 * @typedef {{choice: string, key: string, glyph: string, label: string, short: string}} Choice
 * @typedef {{kind: string, choices: Choice[], swipes: Record<string, string>, figures: () => {root: HTMLElement, canvases: HTMLCanvasElement[]}}} Mode
 */

/** @type {Mode} */
export const pair = {
  kind: "pair",
  choices: [
    {choice: "left", key: "ArrowLeft", glyph: "←", label: "Left is better", short: "Left"},
    {choice: "equal", key: "ArrowUp", glyph: "↑", label: "Equally good", short: "Equal"},
    {choice: "skip", key: "ArrowDown", glyph: "↓", label: "Can't tell", short: "Can't tell"},
    {choice: "right", key: "ArrowRight", glyph: "→", label: "Right is better", short: "Right"},
  ],
  swipes: {left: "left", right: "right", up: "equal", down: "skip"},
  figures,
};

function figures() {
  const canvases = ["Left", "Right"].map((side) =>
    el("canvas", {role: "img", "aria-label": `${side} clip`, class: "clip", width: 3, height: 2}));
  const framed = canvases.map((canvas, k) => el("figure", {class: `side ${k ? "right" : "left"}`},
    el("div", {class: "frame"}, el("div", {class: "fitted"}, el("figcaption", {}, k ? "Right" : "Left"), canvas))));
  return {root: el("div", {class: "pair"}, ...framed), canvases};
}
