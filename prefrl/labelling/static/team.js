// @ts-check
/** The Team page: each labeller's answers and reliability, and where labellers and the reward model differ. */

import {ApiError, get} from "./api.js";
import {accuracyLine, answersOverTime, interval, legend} from "./charts.js";
import {smallClips} from "./small_clips.js";
import {count, duration, el, percent, put} from "./dom.js";

/**
 * @typedef {{agree: number, n: number} | null} Looks
 * @typedef {{share: number, low: number, high: number, n: number}} Share
 * @typedef {{query: number, kind: string, said: {labeller: string, words: string}[], label: number[] | null, clips: import("./player.js").Clip[] | null}} Disputed
 * @typedef {{name: string, answers: number, skips: number, undecided: number, minutes: number, per_minute: number | null, median_seconds: number | null,
 *   places: (Share & {kind: string, place: string, p: number})[], self_agreement: Looks, reordered_agreement: Looks,
 *   gold: Share | null, reliability: number | null, flags: string[]}} Labeller
 * @typedef {{labellers: Labeller[], agreement: {a: string, b: string, agree: number, n: number, kappa: number | null}[],
 *   model: {accuracy: number | null, n: number, by_version: {version: number, accuracy: number, n: number}[]} | null,
 *   per_minute: {minute: number, labeller: string, answers: number}[], open: {waiting: number, oldest_seconds: number | null}, corrections: number, disputed: Disputed[]}} Team
 */

const EVERY = 5_000; // ms

export class TeamView {
  name = "team";
  #timer = 0;
  #latest = "";

  /** @param {import("./main.js").App} app */
  constructor(app) {
    this.app = app;
    this.body = el("div", {class: "team-body"});
    this.root = el("main", {class: "team", id: "main", tabindex: -1}, el("div", {class: "page-head"}, el("h1", {}, "Team")), this.body);
  }

  enter() {
    this.#load();
    this.#timer = setInterval(() => document.hidden || this.#load(), EVERY);
  }

  leave() {
    clearInterval(this.#timer);
  }

  async #load() {
    try {
      const team = await get("/api/team");
      const text = JSON.stringify(team);
      if (text !== this.#latest) put(this.body, ...parts(team, this.app.status?.kinds ?? {})); // unchanged: keep what somebody is reading
      this.#latest = text;
    } catch (fault) {
      if (!(fault instanceof ApiError)) throw fault;
      if (fault.status === 403) put(this.body, el("p", {class: "card"}, "This page is for the experimenter: it opens with the address that the server printed, not with an invitation."));
      else if (!this.#latest) put(this.body, el("p", {class: "card"}, `Nothing to show: ${fault.message}`));
    }
  }
}

/** @param {Team} team @param {Record<string, import("./choices.js").Kind>} kinds */
function parts(team, kinds) {
  const names = team.labellers.map((one) => one.name);
  return [
    tiles(team),
    card("Answers over time", answersOverTime(team.per_minute, names), legend(names)),
    card("Labellers", people(team.labellers)),
    card("How far they can be relied on", ...relied(team.labellers)),
    card("Agreement between labellers", agreement(team.agreement)),
    card("Most disputed questions", disputed(team.disputed, kinds)),
    card("The reward model on people's answers", accuracyLine(team.model?.by_version ?? [])),
  ];
}

/** @param {string} title @param {...any} children */
function card(title, ...children) {
  return el("section", {class: "card"}, el("h2", {}, title), ...children);
}

/** @param {Team} team */
function tiles({labellers, model, open, corrections, agreement: pairs}) {
  const sum = (/** @type {(one: Labeller) => number} */ of) => labellers.reduce((total, one) => total + (of(one) || 0), 0);
  const compared = pairs.reduce((total, one) => total + one.n, 0);
  const agreed = pairs.reduce((total, one) => total + one.agree * one.n, 0);
  return el("dl", {class: "tiles"},
    tile("Answers", sum((one) => one.answers).toLocaleString("en"), `by ${count(labellers.length, "labeller")}`),
    tile("Time spent", duration(60 * sum((one) => one.minutes)), "with a question on the screen"),
    tile("Waiting", open.waiting.toLocaleString("en"), open.oldest_seconds === null ? "no open question" : `the oldest for ${duration(open.oldest_seconds)}`),
    tile("Model agrees", model?.n ? percent(model.accuracy ?? 0) : "–", model?.n ? `on ${count(model.n, "answer")}` : "no prediction yet"),
    tile("People agree", compared ? percent(agreed / compared) : "–", compared ? `on ${count(compared, "shared question")}` : "nothing answered twice yet"),
    tile("Corrections", corrections.toLocaleString("en"), "revised or withdrawn"));
}

/** @param {string} name @param {string} value @param {string} remark */
function tile(name, value, remark) {
  return el("div", {class: "tile card"}, el("dt", {}, name), el("dd", {}, el("b", {}, value), el("span", {}, remark)));
}

/** @param {Labeller[]} labellers */
function people(labellers) {
  const places = new Set(labellers.flatMap((one) => one.places.map(({place}) => place)));
  const head = ["Labeller", "Answers", "Undecided", "Skipped", "A minute", "Median", "Minutes", `Chose ${[...places].join(" or ")}`];
  return scrolled(head, labellers.map((one) => [
    el("span", {}, el("span", {class: "name", title: one.name}, one.name), ...one.flags.map((flag) => el("span", {class: "tag bad"}, flag.replaceAll("_", " ")))),
    one.answers.toLocaleString("en"), of(one.undecided, one.answers), of(one.skips, one.answers),
    one.per_minute === null ? "–" : one.per_minute.toFixed(1), one.median_seconds === null ? "–" : `${one.median_seconds.toFixed(1)} s`,
    one.minutes.toFixed(one.minutes < 10 ? 1 : 0), one.places.length ? el("div", {}, ...one.places.map((share) => bias(share, places.size > 1))) : "–",
  ]));
}

/** @param {Labeller[]} labellers */
function relied(labellers) {
  const looks = (/** @type {Looks} */ one) => one?.n ? `${percent(one.agree / one.n)} of ${one.n}` : "–";
  const estimated = labellers.some((one) => one.reliability !== null);
  return [scrolled(["Labeller", "Estimated right", "Known answers right", "Same again", "Same again, reordered"], labellers.map((one) => [
    el("span", {class: "name", title: one.name}, one.name), one.reliability === null ? "–" : percent(one.reliability),
    known(one.gold), looks(one.self_agreement), looks(one.reordered_agreement)])),
  estimated ? null : el("p", {class: "note"}, "How often each is right is estimated once two people have judged the same questions, or known ones.")];
}

/** @param {Share | null} gold */
function known(gold) {
  if (!gold) return "–";
  const text = `${percent(gold.share)} of ${gold.n}`;
  return el("span", {title: `95 % interval ${percent(gold.low)} to ${percent(gold.high)}`}, `${text} (${percent(gold.low)} to ${percent(gold.high)})`);
}

/** @param {Disputed[]} questions @param {Record<string, import("./choices.js").Kind>} kinds */
function disputed(questions, kinds) {
  if (!questions.length) return el("p", {class: "note"}, "Nobody has contradicted anybody yet.");
  return el("ol", {class: "records"}, ...questions.map(({query, kind, said, label, clips}) => {
    const small = clips && smallClips(clips, kinds[kind]?.places ?? []);
    const root = el("li", {class: "record card", tabindex: 0, "data-query": query},
      small ? small.root : el("p", {class: "gone"}, "The clips are not drawn"),
      el("div", {class: "about"}, el("p", {}, el("b", {}, `Question ${query}`)),
        ...said.map((one) => el("p", {class: "quiet-line"}, `${one.labeller}: ${one.words}`)),
        el("p", {class: "quiet-line"}, learned(label, kinds[kind]?.outcomes ?? []))));
    small?.playWith(root);
    return root;
  }));
}

/** @param {number[] | null} chances of the outcomes @param {string[]} outcomes */
function learned(chances, outcomes) {
  if (chances === null) return "Learned as: nothing";
  const best = chances.indexOf(Math.max(...chances));
  return `Learned as: ${outcomes[best] ?? best} with ${percent(chances[best])}`;
}

/** @param {Labeller["places"][number]} one @param {boolean} named whether to say which place */
function bias(one, named) {
  const text = `${named ? `${one.place}: ` : ""}${percent(one.share)} of ${one.n}`;
  const label = `${text}, interval ${percent(one.low)} to ${percent(one.high)}, p = ${one.p.toPrecision(2)}`;
  return el("span", {class: "bias", title: label}, interval(one, label), text);
}

/** @param {Team["agreement"]} pairs */
function agreement(pairs) {
  if (!pairs.length) return el("p", {class: "note"}, "Nobody has answered a question that somebody else answered too. \"Second opinions\" on an empty queue asks for that.");
  return scrolled(["Labellers", "Agree", "Questions", "Cohen's κ"], pairs.map((one) =>
    [`${one.a} and ${one.b}`, percent(one.agree), one.n.toLocaleString("en"), one.kappa === null ? "–" : one.kappa.toFixed(2)]));
}

/** @param {string[]} head @param {any[][]} rows */
function scrolled(head, rows) {
  return el("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": head[0]}, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((name) => el("th", {scope: "col"}, name)))),
    el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell, k) => el(k ? "td" : "th", k ? {} : {scope: "row"}, cell)))))));
}

/** @param {number} part @param {number} whole */
function of(part, whole) {
  return part && whole ? `${part.toLocaleString("en")} (${percent(part / whole)})` : "0";
}
