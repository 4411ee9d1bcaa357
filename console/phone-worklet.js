/**
 * The audio thread of `phone.js`: it cuts the microphone into frames, and plays what the server
 * sends. Its clock counts the samples that it played, so it knows what the caller has heard.
 *
 * Both directions run at the rate of the call (8 or 16 kHz). Two resamplers convert from and to the
 * rate of the sound card, because not every browser lets a page choose that rate.
 */

const FRAME_SECONDS = 0.02;
const FULL_SCALE = 32768;

const ZERO_CROSSINGS = 16;
/** Share of the lower Nyquist frequency that passes the filter. The rest is its transition band. */
const PASS_BAND = 0.92;

/** Added to the jitter buffer after sound came too late. */
const JITTER_STEP_SECONDS = 0.02;
const MAX_JITTER_SECONDS = 0.2;
/** A gap up to this length means that sound came too late. After a longer one, the agent paused. */
const MAX_LATE_SECONDS = 0.15;

/** Converts a stream of samples to another rate with a windowed sinc filter. */
export class Resampler {
  /**
   * @param {number} fromHz
   * @param {number} toHz
   */
  constructor(fromHz, toHz) {
    const divisor = greatestCommonDivisor(fromHz, toHz);
    this.up = toHz / divisor;
    this.down = fromHz / divisor;
    const ratio = Math.min(1, this.up / this.down);
    this.length = 2 * Math.ceil(ZERO_CROSSINGS / ratio);
    this.kernels = Array.from({ length: this.up }, (_, phase) =>
      kernelOf(this.length, phase / this.up, PASS_BAND * ratio),
    );
    // Every sample is stored twice, so that the last `length` samples are always in one piece.
    this.history = new Float32Array(2 * this.length);
    this.newest = 0;
    this.phase = this.up;
  }

  /** Whether the next output sample needs another input sample first. */
  get needsInput() {
    return this.phase >= this.up;
  }

  /** @param {number} sample */
  add(sample) {
    this.history[this.newest] = this.history[this.newest + this.length] = sample;
    this.newest = (this.newest + 1) % this.length;
    this.phase -= this.up;
  }

  /** @returns {number} */
  next() {
    const kernel = this.kernels[this.phase];
    let sum = 0;
    for (let index = 0; index < this.length; index += 1) {
      sum += kernel[index] * this.history[this.newest + index];
    }
    this.phase += this.down;
    return sum;
  }
}

/**
 * Returns a filter that interpolates `fraction` samples after the middle of its input.
 *
 * @param {number} length
 * @param {number} fraction
 * @param {number} cutoff as a share of the input's Nyquist frequency
 */
function kernelOf(length, fraction, cutoff) {
  const kernel = Float32Array.from({ length }, (_, index) => {
    const distance = index - (length / 2 - 1) - fraction;
    const angle = (2 * Math.PI * distance) / length;
    const window = 0.42 + 0.5 * Math.cos(angle) + 0.08 * Math.cos(2 * angle); // Blackman
    const x = Math.PI * cutoff * distance;
    return window * (x === 0 ? 1 : Math.sin(x) / x);
  });
  const sum = kernel.reduce((total, each) => total + each, 0);
  return kernel.map((each) => each / sum);
}

/**
 * @param {number} a
 * @param {number} b
 * @returns {number}
 */
function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/**
 * Sound and marks in the order in which they arrived. It is a jitter buffer: after silence, it waits
 * until it holds enough sound to bridge a delay of the network.
 */
export class PlaybackQueue {
  /**
   * @param {number} rateHz
   * @param {number} jitterSeconds
   * @param {(name: string) => void} onMark is called when all sound before a mark was heard
   */
  constructor(rateHz, jitterSeconds, onMark) {
    this.rateHz = rateHz;
    this.onMark = onMark;
    /** How many samples were played, silence included. */
    this.played = 0;
    /** How many samples lie between this queue and the ear. */
    this.outputDelay = 0;
    this.leastDepth = this.depth = Math.round(jitterSeconds * rateHz);
    /** @type {(Int16Array | string)[]} */
    this.entries = [];
    this.offset = 0;
    this.buffered = 0;
    /** @type {{ name: string, dueAt: number }[]} */
    this.dueMarks = [];
    this.isPlaying = false;
    this.startsAt = Infinity;
    this.ranDryAt = -Infinity;
  }

  /** @param {Int16Array} samples */
  addSound(samples) {
    if (samples.length === 0) return;
    if (!this.isPlaying && this.buffered === 0) this.#prepareStart();
    this.entries.push(samples);
    this.buffered += samples.length;
  }

  #prepareStart() {
    const gap = (this.played - this.ranDryAt) / this.rateHz;
    const step = Math.round(JITTER_STEP_SECONDS * this.rateHz);
    if (gap <= MAX_LATE_SECONDS) {
      this.depth = Math.min(this.depth + step, Math.round(MAX_JITTER_SECONDS * this.rateHz));
    } else {
      this.depth = Math.max(this.depth - step, this.leastDepth);
    }
    this.startsAt = this.played + this.depth;
  }

  /** @param {string} name */
  addMark(name) {
    this.entries.push(name);
    this.#passMarks();
  }

  /** Drops everything that was not played. What was before a mark is now dropped or heard. */
  clear() {
    const marks = this.dueMarks.map((mark) => mark.name);
    marks.push(...this.entries.filter((entry) => typeof entry === "string"));
    this.entries = [];
    this.dueMarks = [];
    this.offset = 0;
    this.buffered = 0;
    this.isPlaying = false;
    this.ranDryAt = -Infinity;
    marks.forEach(this.onMark);
  }

  /** Returns the next sample to play. */
  next() {
    const sample = this.#take();
    this.played += 1;
    while (this.dueMarks.length > 0 && this.dueMarks[0].dueAt <= this.played) {
      const mark = this.dueMarks.shift();
      if (mark) this.onMark(mark.name);
    }
    return sample;
  }

  #take() {
    if (!this.isPlaying) {
      if (this.buffered === 0) return 0;
      if (this.buffered < this.depth && this.played < this.startsAt) return 0;
      this.isPlaying = true;
    }
    const sound = this.entries[0];
    if (!(sound instanceof Int16Array)) return 0;
    const sample = sound[this.offset];
    this.offset += 1;
    this.buffered -= 1;
    if (this.offset === sound.length) {
      this.entries.shift();
      this.offset = 0;
      this.#passMarks();
    }
    if (this.buffered === 0) {
      this.isPlaying = false;
      this.ranDryAt = this.played;
    }
    return sample;
  }

  /** Moves the marks at the head of the queue to those that wait for the sound card. */
  #passMarks() {
    while (typeof this.entries[0] === "string") {
      const name = this.entries.shift();
      this.dueMarks.push({ name: String(name), dueAt: this.played + 1 + this.outputDelay });
    }
  }
}

/** @param {number} value */
function toInt16(value) {
  return Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, Math.round(value * FULL_SCALE)));
}

/**
 * Messages to the page: `{type: "frame", caller, agent}` every 20 ms, with what both sides sounded
 * like in that time, and `{type: "mark", name}`. Messages from the page: `{type: "sound", samples}`,
 * `{type: "mark", name}`, `{type: "clear"}` and `{type: "delay", seconds}`.
 */
class PhoneProcessor extends AudioWorkletProcessor {
  /** @param {{ processorOptions: { rateHz: number, jitterSeconds: number } }} options */
  constructor({ processorOptions: { rateHz, jitterSeconds } }) {
    super();
    this.fromMicrophone = new Resampler(sampleRate, rateHz);
    this.toSpeaker = new Resampler(rateHz, sampleRate);
    this.queue = new PlaybackQueue(rateHz, jitterSeconds, (name) =>
      this.port.postMessage({ type: "mark", name }),
    );
    this.frameLength = Math.round(FRAME_SECONDS * rateHz);
    /** @type {number[]} */
    this.caller = [];
    /** @type {number[]} */
    this.agent = [];
    this.port.onmessage = (event) => this.receive(event.data);
  }

  /** @param {any} message */
  receive(message) {
    if (message.type === "sound") this.queue.addSound(message.samples);
    else if (message.type === "mark") this.queue.addMark(message.name);
    else if (message.type === "clear") this.queue.clear();
    else if (message.type === "delay") {
      this.queue.outputDelay = Math.round(message.seconds * this.queue.rateHz);
    }
  }

  /**
   * @param {Float32Array[][]} inputs
   * @param {Float32Array[][]} outputs
   */
  process(inputs, outputs) {
    const output = outputs[0][0];
    this.play(output);
    for (const copy of outputs[0].slice(1)) copy.set(output);
    this.capture(inputs[0][0], output.length);
    while (this.caller.length >= this.frameLength && this.agent.length >= this.frameLength) {
      this.postFrame();
    }
    return true;
  }

  /** @param {Float32Array} output */
  play(output) {
    for (let index = 0; index < output.length; index += 1) {
      while (this.toSpeaker.needsInput) {
        const sample = this.queue.next();
        this.agent.push(sample);
        this.toSpeaker.add(sample / FULL_SCALE);
      }
      output[index] = this.toSpeaker.next();
    }
  }

  /**
   * @param {Float32Array | undefined} input is missing while no microphone is connected
   * @param {number} length
   */
  capture(input, length) {
    for (let index = 0; index < length; index += 1) {
      this.fromMicrophone.add(input ? input[index] : 0);
      while (!this.fromMicrophone.needsInput) {
        this.caller.push(toInt16(this.fromMicrophone.next()));
      }
    }
  }

  postFrame() {
    const caller = Int16Array.from(this.caller.splice(0, this.frameLength));
    const agent = Int16Array.from(this.agent.splice(0, this.frameLength));
    this.port.postMessage({ type: "frame", caller, agent }, [caller.buffer, agent.buffer]);
  }
}

registerProcessor("phonebridge-phone", PhoneProcessor);
