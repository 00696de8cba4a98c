// @ts-check
/** The reward model's view of an answered question: its learned reward per step as a strip under each clip. */

import {named} from "./choices.js";
import {el, percent, svg} from "./dom.js";
import {drawFrame} from "./player.js";

/**
 * @typedef {import("./api.js").ModelView} ModelView
 * @typedef {import("./player.js").Sheet} Sheet
 */

const HEIGHT = 32;

/**
 * Strips on one scale, so that they can be compared. Bars grow up from zero for reward, down for its opposite.
 * @param {number[][]} rewards of each clip, per step @param {string[]} places what the clips are called
 * @returns {{root: SVGElement, at: (step: number) => void}[]} at moves the cursor; -1 hides it
 */
export function strips(rewards, places) {
  const all = rewards.flat().filter(Number.isFinite);
  const top = Math.max(0, ...all);
  const bottom = Math.min(0, ...all);
  const scale = HEIGHT / (top - bottom || 1);
  return rewards.map((steps, k) => {
    const bars = steps.map((reward, step) => svg("rect", {
      x: step + 0.1, width: 0.8, y: (top - Math.max(reward, 0)) * scale, height: Math.max(0.4, Math.abs(reward) * scale),
      class: reward < 0 ? "below" : "above",
    }));
    const cursor = svg("rect", {class: "cursor", x: 0, y: 0, width: 1, height: HEIGHT, visibility: "hidden"});
    const label = `${named(places[k])}: learned reward per step, ${spread(steps)}`;
    const root = svg("svg", {class: "strip", role: "img", "aria-label": label, viewBox: `0 0 ${steps.length} ${HEIGHT}`, preserveAspectRatio: "none"},
      cursor, svg("rect", {class: "zero", x: 0, width: steps.length, y: top * scale - 0.3, height: 0.6}), ...bars);
    const at = (/** @type {number} */ step) => {
      cursor.setAttribute("visibility", step < 0 ? "hidden" : "visible");
      cursor.setAttribute("x", String(Math.min(step, steps.length - 1)));
    };
    return {root, at};
  });
}

/** @param {number[]} steps */
function spread(steps) {
  if (!steps.length) return "none";
  const sum = steps.reduce((total, reward) => total + reward, 0);
  return `sum ${sum.toFixed(2)}, from ${Math.min(...steps).toFixed(2)} to ${Math.max(...steps).toFixed(2)}`;
}

/** What the model predicted, and whether the answer agrees. @param {import("./choices.js").Kind | undefined} kind @param {ModelView} model */
export function verdict(kind, model) {
  const best = model.chances.indexOf(Math.max(...model.chances));
  const text = `The reward model (v${model.version}) gives ${kind?.outcomes[best] ?? best} ${percent(model.chances[best])} `;
  return [el("span", {}, text), model.agrees !== null &&
    el("span", {class: model.agrees ? "tag good" : "tag bad"}, model.agrees ? "✓ agrees" : "✗ disagrees")];
}

/**
 * A card about the question answered last.
 * @param {import("./choices.js").Kind} kind @param {ModelView} model @param {import("./choices.js").Given} given @param {Sheet[]} sheets
 */
export function modelCard(kind, model, given, sheets) {
  const sides = strips(model.rewards, kind.places).map((strip, k) => el("div", {class: given.favours === k ? "thumb chosen" : "thumb"},
    sheets[k] && poster(sheets[k]), strip.root));
  return el("div", {class: "card model"},
    el("p", {}, el("b", {}, "Your last answer"), ...verdict(kind, model)), ...sides);
}

/** The middle frame, small. @param {Sheet} sheet */
function poster(sheet) {
  const canvas = el("canvas", {width: sheet.clip.width, height: sheet.clip.height, "aria-hidden": "true"});
  drawFrame(/** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")), sheet, sheet.clip.frames >> 1);
  return canvas;
}
