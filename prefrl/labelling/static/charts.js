// @ts-check
/** Charts of the Team page. Colours come from the style sheet, by class. */

import {el, percent, svg} from "./dom.js";

const WIDTH = 1080;
const HEIGHT = 190;
const LEFT = 44; // room for the scale
const BELOW = 22;
const TALL = HEIGHT - BELOW - 8; // of the bars and lines

/**
 * Answers over time, stacked by labeller.
 * @param {{minute: number, labeller: string, answers: number}[]} rows minute: in seconds since 1970
 * @param {string[]} names in the order of their colours
 */
export function answersOverTime(rows, names) {
  if (!rows.length) return el("p", {class: "note"}, "No answers yet.");
  const minutes = rows.map((row) => row.minute / 60);
  const [first, last] = [Math.min(...minutes), Math.max(...minutes)];
  const each = Math.max(1, Math.ceil((last - first + 1) / 60)); // minutes in a bar: at most 60 bars
  const bars = Math.floor((last - first) / each) + 1;
  const height = Array.from({length: bars}, () => 0);
  const sums = Array.from({length: bars}, () => names.map(() => 0));
  for (const row of rows) {
    const bar = Math.floor((row.minute / 60 - first) / each);
    height[bar] += row.answers;
    sums[bar][names.indexOf(row.labeller)] += row.answers;
  }
  const top = nice(Math.max(...height));
  const wide = Math.min(40, (WIDTH - LEFT) / bars);
  const drawn = sums.flatMap((parts, bar) => {
    let y = HEIGHT - BELOW;
    return parts.map((part, who) => {
      const rise = (part / top) * TALL;
      y -= rise;
      return part && svg("rect", {class: `who w${who % 6}`, x: LEFT + bar * wide + 1, width: Math.max(1, wide - 2), y, height: rise},
        svg("title", {}, `${names[who]}: ${part}, ${clock(first + bar * each)}`));
    });
  });
  const label = `Answers over time, ${rows.reduce((sum, row) => sum + row.answers, 0)} in all, at most ${Math.max(...height)} in ${each === 1 ? "a minute" : `${each} minutes`}`;
  return figure(label, [...scale((share) => String(share * top)), ...drawn,
    svg("text", {x: LEFT, y: HEIGHT - 4}, clock(first)),
    bars > 3 && svg("text", {x: LEFT + bars * wide, y: HEIGHT - 4, "text-anchor": "end"}, clock(last))]);
}

/**
 * A share with its interval on a line from 0 to 1, with a mark at one half (no bias between two places).
 * @param {{share: number, low: number, high: number}} bias @param {string} label
 */
export function interval(bias, label) {
  const x = (/** @type {number} */ share) => 4 + share * 152;
  const fair = bias.low <= 0.5 && bias.high >= 0.5;
  return svg("svg", {class: `interval ${fair ? "" : "off"}`, viewBox: "0 0 160 24", role: "img", "aria-label": label},
    svg("line", {class: "axis", x1: x(0), x2: x(1), y1: 12, y2: 12}),
    svg("line", {class: "fair", x1: x(0.5), x2: x(0.5), y1: 3, y2: 21}),
    svg("line", {class: "range", x1: x(bias.low), x2: x(bias.high), y1: 12, y2: 12}),
    svg("circle", {class: "point", cx: x(bias.share), cy: 12, r: 4.5}));
}

/** The model's accuracy, version by version. @param {{version: number, accuracy: number, n: number}[]} rows */
export function accuracyLine(rows) {
  const known = rows.filter((row) => row.accuracy !== null && Number.isFinite(row.accuracy));
  if (known.length < 2) return el("p", {class: "note"}, "Drawn after the second fit that has answers to be compared with.");
  const x = (/** @type {number} */ k) => LEFT + 6 + (k / (known.length - 1)) * (WIDTH - LEFT - 16);
  const y = (/** @type {number} */ share) => HEIGHT - BELOW - share * TALL;
  const points = known.map((row, k) => `${x(k).toFixed(1)},${y(row.accuracy).toFixed(1)}`).join(" ");
  const latest = known[known.length - 1];
  return figure(`Accuracy of the reward model on people's answers, ${percent(latest.accuracy)} at version ${latest.version}`, [
    ...scale(percent),
    svg("polyline", {class: "line", points}),
    ...known.map((row, k) => svg("circle", {class: "point", cx: x(k), cy: y(row.accuracy), r: 3.5}, svg("title", {}, `v${row.version}: ${percent(row.accuracy)} of ${row.n}`))),
    svg("text", {x: LEFT + 6, y: HEIGHT - 4}, `v${known[0].version}`),
    svg("text", {x: WIDTH, y: HEIGHT - 4, "text-anchor": "end"}, `v${latest.version}`)]);
}

/** @param {string[]} names */
export function legend(names) {
  return el("ul", {class: "legend"}, ...names.map((name, k) => el("li", {}, el("i", {class: `who w${k % 6}`}), name)));
}

/** @param {string} label @param {any[]} parts */
function figure(label, parts) {
  return svg("svg", {class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label}, ...parts);
}

/** Lines at the bottom, in the middle and at the top. @param {(share: number) => string} label */
function scale(label) {
  return [0, 0.5, 1].flatMap((share) => {
    const y = HEIGHT - BELOW - share * TALL;
    return [svg("line", {class: "grid", x1: LEFT, x2: WIDTH, y1: y, y2: y}),
      svg("text", {x: LEFT - 6, y: y + 4, "text-anchor": "end"}, label(share))];
  });
}

/** The next even number that reads well. @param {number} most */
function nice(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 2)));
  return [2, 4, 6, 8, 10, 20].map((k) => (k * power) / (power > 1 ? 2 : 1)).find((value) => value >= most && value % 2 === 0) ?? most * 2;
}

/** @param {number} minute since 1970 */
function clock(minute) {
  return new Date(minute * 60_000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
}
