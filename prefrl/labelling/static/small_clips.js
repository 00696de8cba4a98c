// @ts-check
/** Small clips of a question: stills that play while pointed at. Decoded only while needed. */

import {named} from "./choices.js";
import {el, put} from "./dom.js";
import {Player, decode, drawFrame, fit} from "./player.js";
import {reducedMotion} from "./storage.js";
import {strips} from "./strip.js";

/** Queue that decodes stills one after another: forty sheets at once would fill the memory. @type {Promise<any>} */
let decoding = Promise.resolve();

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting)) {
    observer.unobserve(entry.target);
    entry.target.dispatchEvent(new Event("seen"));
  }
}, {rootMargin: "200px"});

/** @param {import("./player.js").Clip[]} clips @param {string[]} places what they are called */
export function smallClips(clips, places) {
  const canvases = clips.map((clip, k) => el("canvas", {role: "img", "aria-label": named(places[k]), class: "clip"}));
  const under = clips.map(() => el("div", {class: "under"}));
  const root = el("div", {class: "small-clips"}, ...canvases.map((canvas, k) => el("div", {class: "thumb"}, canvas, under[k])));
  root.style.setProperty("--clips", String(clips.length));
  clips.forEach((clip, k) => fit(canvases[k], clip));
  /** @type {{root: SVGElement, at: (step: number) => void}[]} */
  let drawn = [];
  const player = new Player(canvases, () => drawn.forEach((strip) => strip.at(player.playing ? player.frame : -1)));
  let wanted = false;

  root.addEventListener("seen", () => {
    decoding = decoding.then(async () => {
      if (player.sheets.length || !root.isConnected) return;
      const sheets = await Promise.all(clips.map(decode));
      sheets.forEach((sheet, k) => {
        if (!player.sheets.length) drawFrame(player.pens[k], sheet, sheet.clip.frames >> 1);
        sheet.bitmap.close();
      });
      root.classList.add("ready");
    }).catch(() => root.classList.add("gone"));
  });
  observer.observe(root);

  async function start() {
    if (wanted) return;
    wanted = true;
    const sheets = await Promise.all(clips.map(decode)).catch(() => []);
    if (!wanted || !sheets.length) return sheets.forEach((sheet) => sheet.bitmap.close());
    player.playing = !reducedMotion();
    player.show(sheets);
    root.classList.add("ready");
  }

  function stop() {
    wanted = false;
    const {sheets} = player;
    player.clear();
    sheets.forEach((sheet) => sheet.bitmap.close());
    drawn.forEach((strip) => strip.at(-1));
  }

  /** Show the model's rewards under the clips, or hide them. @param {number[][] | null} rewards */
  function showRewards(rewards) {
    drawn = rewards ? strips(rewards, places) : [];
    under.forEach((place, k) => put(place, drawn[k]?.root));
  }

  /** Play while a card is pointed at or has the focus. @param {HTMLElement} card */
  function playWith(card) {
    card.addEventListener("pointerenter", start);
    card.addEventListener("pointerleave", () => card.contains(document.activeElement) || stop());
    card.addEventListener("focusin", start);
    card.addEventListener("focusout", (event) => card.contains(/** @type {Node} */ (event.relatedTarget)) || stop());
  }

  return {root, stop, showRewards, playWith};
}
