// @ts-check
/** Play, pause, single frames and speed: the buttons under the clips. */

import {button, el, put} from "./dom.js";
import {icon} from "./icons.js";
import {announced, control} from "./keys.js";
import {SPEEDS} from "./player.js";

const SPEED_NAMES = ["1/8", "1/4", "1/2", "1", "2", "4"];

/** What each control does to a player. @type {Record<string, (player: import("./player.js").Player) => void>} */
export const MOVES = {
  play: (player) => player.toggle(),
  back: (player) => player.step(-1),
  ahead: (player) => player.step(1),
  slower: (player) => player.pace(-1),
  faster: (player) => player.pace(1),
  restart: (player) => player.restart(),
};

/** @param {import("./player.js").Player} player */
export function transport(player) {
  const buttons = Object.fromEntries(Object.keys(MOVES).map((name) => {
    const key = control(name);
    const made = button("", {key: announced(key), glyph: key.glyph, class: "tool", title: key.help, onclick: () => MOVES[name](player)});
    made.setAttribute("aria-label", key.label);
    put(made.children[0], icon(name));
    return [name, made];
  }));
  const speed = el("output", {class: "speed", "aria-label": "Speed"}, "1×");
  const place = el("output", {class: "place", "aria-label": "Frame"});
  const scrub = el("input", {type: "range", class: "scrub", min: 0, max: 1, value: 0, step: 1, "aria-label": "Frame of both clips"});
  scrub.addEventListener("input", () => player.seek(Number(scrub.value)));
  scrub.addEventListener("pointerup", () => scrub.blur()); // else the arrow keys would move it, not answer

  const root = el("div", {class: "transport", role: "group", "aria-label": "Playback"},
    buttons.play, buttons.back, buttons.ahead, buttons.restart, scrub, place, buttons.slower, speed, buttons.faster);

  let playing = true;
  const update = () => {
    scrub.max = String(Math.max(1, player.length - 1));
    scrub.value = String(player.frame);
    put(place, player.length ? `${player.frame + 1}/${player.length}` : "");
    const named = `${SPEED_NAMES[SPEEDS.indexOf(player.speed)]}×`;
    if (speed.textContent !== named) put(speed, named);
    if (playing === player.playing) return;
    playing = player.playing;
    put(buttons.play.children[0], icon(playing ? "pause" : "play"));
    buttons.play.setAttribute("aria-label", playing ? "Pause" : "Play");
  };
  put(buttons.play.children[0], icon("pause"));
  return {root, update};
}
