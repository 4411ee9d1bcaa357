/**
 * Records a call in the page and makes a WAV file of it: the caller on the left, the agent on the
 * right, as they sounded at the same time.
 *
 * @typedef {import("./phone.js").AudioFrame} AudioFrame
 */

const HEADER_BYTES = 44;
const CHANNELS = 2;
const BYTES_PER_SAMPLE = 2;
/** A recording stays in the memory of the page. One hour in phone quality takes 115 MB. */
const MAX_FRAMES = 3600 * 50;

export class Recording {
  /** @type {AudioFrame[]} */
  #frames = [];

  /** @param {AudioFrame} frame */
  add(frame) {
    if (this.#frames.length < MAX_FRAMES) this.#frames.push(frame);
  }

  get isEmpty() {
    return this.#frames.length === 0;
  }

  /** @returns {Blob} */
  toWav() {
    const { rateHz, caller } = this.#frames[0];
    const samples = new Int16Array(this.#frames.length * caller.length * CHANNELS);
    let position = 0;
    for (const frame of this.#frames) {
      frame.caller.forEach((sample, index) => {
        samples[position] = sample;
        samples[position + 1] = frame.agent[index];
        position += CHANNELS;
      });
    }
    return new Blob([wavHeader(samples.byteLength, rateHz), samples], { type: "audio/wav" });
  }
}

/**
 * @param {number} dataBytes
 * @param {number} rateHz
 */
function wavHeader(dataBytes, rateHz) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const frameBytes = CHANNELS * BYTES_PER_SAMPLE;
  writeText(view, 0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + dataBytes, true);
  writeText(view, 8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, CHANNELS, true);
  view.setUint32(24, rateHz, true);
  view.setUint32(28, rateHz * frameBytes, true);
  view.setUint16(32, frameBytes, true);
  view.setUint16(34, 8 * BYTES_PER_SAMPLE, true);
  writeText(view, 36, "data");
  view.setUint32(40, dataBytes, true);
  return view;
}

/**
 * @param {DataView} view
 * @param {number} offset
 * @param {string} text
 */
function writeText(view, offset, text) {
  for (let index = 0; index < text.length; index += 1) {
    view.setUint8(offset + index, text.charCodeAt(index));
  }
}
