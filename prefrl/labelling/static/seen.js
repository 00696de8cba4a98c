// @ts-check
/** Read-only state of a labelling view, for tests and debugging. */

/** @typedef {import("./label.js").LabelView} LabelView */

/**
 * drawn: the frame on each canvas, -1 for none.
 * @param {import("./outbox.js").Outbox} outbox @param {() => LabelView | null} view
 */
export function seen(outbox, view) {
  return Object.freeze({
    get drawn() { return [...(view()?.player.drawn ?? [])]; },
    get query() { return view()?.turns.now?.question.query ?? null; },
    get playing() { return view()?.player.playing ?? false; },
    get speed() { return view()?.player.speed ?? 0; },
    get loops() { return view()?.player.loops ?? 0; },
    get ahead() { return view()?.ahead.staged.length ?? 0; },
    get outbox() { return outbox.waiting; },
    get past() { return view()?.turns.past.length ?? 0; },
  });
}
