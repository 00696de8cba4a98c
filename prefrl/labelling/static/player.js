// @ts-check
/** Clips drawn from frame sheets: one clock draws all clips of a question, so they cannot drift apart. */

import {picture} from "./api.js";

/**
 * A clip: its frames row by row on one picture.
 * @typedef {{url: string, frames: number, columns: number, width: number, height: number, fps: number, pixelated: boolean}} Clip
 * @typedef {{clip: Clip, bitmap: ImageBitmap}} Sheet a clip that is ready to be drawn
 */

export const SPEEDS = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4];
const HOLD = 6; // frames for which the last one stays before the loop begins again

/** A picture that arrived, but cannot be decoded or lacks frames. */
export class BadClip extends Error {}

/** Fetch and decode a clip. Rejects rather than give a sheet that lacks a frame. @param {Clip} clip @returns {Promise<Sheet>} */
export async function decode(clip) {
  const bitmap = await createImageBitmap(await picture(clip.url), {colorSpaceConversion: "none"}).catch((fault) => {
    throw new BadClip(`${clip.url} cannot be decoded: ${fault.message}`);
  });
  const rows = Math.ceil(clip.frames / clip.columns);
  const columns = Math.min(clip.frames, clip.columns);
  if (bitmap.width < columns * clip.width || bitmap.height < rows * clip.height) {
    const size = `${bitmap.width} x ${bitmap.height}`;
    bitmap.close();
    throw new BadClip(`${clip.url} is ${size}, too small for ${clip.frames} frames of ${clip.width} x ${clip.height}`);
  }
  return {clip, bitmap};
}

/** Bytes that a decoded clip takes. @param {Clip} clip */
export function decodedBytes(clip) {
  return 4 * clip.width * clip.height * clip.columns * Math.ceil(clip.frames / clip.columns);
}

/** Draw one frame, over the whole canvas. @param {CanvasRenderingContext2D} pen @param {Sheet} sheet @param {number} frame */
export function drawFrame(pen, sheet, frame) {
  const {width, height, columns} = sheet.clip;
  const x = (frame % columns) * width;
  const y = Math.floor(frame / columns) * height;
  pen.drawImage(sheet.bitmap, x, y, width, height, 0, 0, width, height);
}

/** Give a canvas the size and shape of a clip. @param {HTMLCanvasElement} canvas @param {Clip} clip */
export function fit(canvas, clip) {
  if (canvas.width !== clip.width || canvas.height !== clip.height) {
    canvas.width = clip.width;
    canvas.height = clip.height;
    canvas.style.setProperty("--shape", String(clip.width / clip.height));
  }
  canvas.classList.toggle("pixelated", clip.pixelated);
}

/** Several canvases, one clock. */
export class Player {
  /** @type {Sheet[]} */
  sheets = [];
  /** Frame on each canvas now, -1 where it is empty. @type {number[]} */
  drawn = [];
  /** @type {HTMLCanvasElement[]} */
  canvases = [];
  /** @type {CanvasRenderingContext2D[]} */
  pens = [];
  playing = true;
  speed = 1;
  loops = 0;
  /** Frames since the loop began, not whole. */
  #at = 0;
  /** @type {number | null} */
  #before = null;
  #request = 0;

  /** changed: called after another frame, speed or state. @param {HTMLCanvasElement[]} canvases @param {() => void} changed */
  constructor(canvases, changed) {
    this.changed = changed;
    this.use(canvases);
  }

  /** Draw on these from now on. @param {HTMLCanvasElement[]} canvases */
  use(canvases) {
    this.canvases = canvases;
    this.pens = canvases.map((c) => /** @type {CanvasRenderingContext2D} */ (c.getContext("2d", {alpha: false})));
    this.drawn = canvases.map(() => -1);
  }

  /** Frames of the longest clip; a shorter one waits on its last. */
  get length() {
    return Math.max(0, ...this.sheets.map((sheet) => sheet.clip.frames));
  }

  get frame() {
    return Math.min(Math.max(0, this.length - 1), Math.floor(this.#at));
  }

  /** Show clips from their first frame, at once. @param {Sheet[]} sheets one per canvas, all decoded */
  show(sheets) {
    this.sheets = sheets;
    this.loops = 0;
    sheets.forEach((sheet, k) => fit(this.canvases[k], sheet.clip));
    this.drawn.fill(-1);
    this.restart();
  }

  /** Drop the clips; the caller hides the canvases until the next ones are shown. */
  clear() {
    this.sheets = [];
    this.drawn.fill(-1);
    this.#stopClock();
  }

  restart() {
    this.#at = 0;
    this.#before = null;
    this.#draw();
    if (this.playing) this.#startClock();
    else this.#stopClock();
    this.changed();
  }

  pause() {
    this.playing = false;
    this.#stopClock();
    this.changed();
  }

  toggle() {
    if (this.playing) return this.pause();
    this.playing = true;
    this.#before = null;
    this.#startClock();
    this.changed();
  }

  /** Move by whole frames, around the end; this pauses. @param {number} frames */
  step(frames) {
    if (this.length) this.seek((this.frame + frames + this.length) % this.length);
  }

  /** Show one frame and stay there. @param {number} frame */
  seek(frame) {
    this.#at = frame;
    this.#draw();
    this.pause();
  }

  /** One notch slower or faster. @param {number} notches */
  pace(notches) {
    const place = SPEEDS.indexOf(this.speed) + notches;
    this.speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, place))];
    this.changed();
  }

  #startClock() {
    if (!this.#request && this.sheets.length) this.#request = requestAnimationFrame(this.#tick);
  }

  #stopClock() {
    cancelAnimationFrame(this.#request);
    this.#request = 0;
  }

  #tick = (/** @type {number} */ now) => {
    const passed = this.#before === null ? 0 : Math.max(0, now - this.#before) / 1000;
    this.#before = now;
    this.#at += passed * this.speed * this.sheets[0].clip.fps;
    const loop = this.length + HOLD;
    if (this.#at >= loop) {
      this.loops += Math.floor(this.#at / loop);
      this.#at %= loop;
    }
    this.#draw();
    this.#request = requestAnimationFrame(this.#tick);
  };

  #draw() {
    const frame = this.frame;
    let moved = false;
    this.sheets.forEach((sheet, k) => {
      const own = Math.min(frame, sheet.clip.frames - 1);
      if (this.drawn[k] === own) return;
      drawFrame(this.pens[k], sheet, own);
      this.drawn[k] = own;
      moved = true;
    });
    if (moved) this.changed();
  }
}
