/**
 * A phone for web pages: it lets a person in the browser talk to an agent of Phonebridge.
 *
 * Your server creates the call (`POST /api/browser-calls`) and gives the page a media URL and a
 * token, so the page never sees an API key:
 *
 *     const phone = new Phone({
 *       createCall: async () => (await fetch("/my-server/call", { method: "POST" })).json(),
 *     });
 *     phone.addEventListener("ended", ({ detail }) => console.log(detail.reason));
 *     await phone.start();  // in a click handler: browsers do not start sound without one
 *
 * The module needs `phone-worklet.js` beside it, and nothing else.
 *
 * @typedef {object} MediaTicket
 * @property {string} call_id
 * @property {string} media_url
 * @property {string} media_token
 *
 * @typedef {object} PhoneOptions
 * @property {() => Promise<MediaTicket | null>} createCall
 *   Asks your server for a call. It returns null, or rejects, if there is none.
 * @property {(callId: string) => Promise<MediaTicket | null>} [renewCall]
 *   Asks your server for a new token after a lost connection (`POST
 *   /api/browser-calls/{call_id}/media`). It returns null if the call has ended. Without this
 *   function, a lost connection ends the call.
 * @property {"pcmu" | "l16"} [audio]
 *   The codec, as it was given to `POST /api/browser-calls`. The default is `pcmu`.
 * @property {MediaTrackConstraints} [microphone]
 *   Changes the constraints of the microphone, for example `{ echoCancellation: false }`.
 * @property {string} [speaker]
 *   The id of the output device, where the browser supports a choice.
 * @property {number} [jitterMilliseconds]
 *   How much sound is collected before it is played. It grows by itself on a bad network.
 *
 * @typedef {object} Transcript
 * @property {"caller" | "agent"} speaker
 * @property {string} item_id
 * @property {string} text the words so far; at the end, the words that the caller heard
 * @property {boolean} is_final
 * @property {string} unheard the words that the caller did not hear
 *
 * @typedef {object} ToolCall
 * @property {string} call_id
 * @property {string} name
 * @property {string} arguments JSON
 * @property {string | null} output is null while the tool runs
 *
 * @typedef {"connecting" | "listening" | "thinking" | "speaking" | "reconnecting" | "ended"} StateName
 *
 * @typedef {object} End
 * @property {EndCode} code
 * @property {string} reason
 *   The reason in the call's record, or what went wrong in plain words. It may be empty.
 *
 * @typedef {"hung_up" | "call_ended" | "connection_lost" | "token_refused" | "in_use" | "no_room"} EndCode
 *
 * @typedef {object} AudioFrame
 * @property {Int16Array} caller 20 ms of the microphone
 * @property {Int16Array} agent what was played in the same 20 ms
 * @property {number} rateHz
 *
 * @typedef {object} PhoneEvents
 * @property {CustomEvent<{ name: StateName }>} state
 * @property {CustomEvent<Transcript>} transcript
 * @property {CustomEvent<{ milliseconds: number }>} latency
 * @property {CustomEvent<ToolCall>} tool
 * @property {CustomEvent<{ caller: number, agent: number }>} level 0 (silent) to 1 (full scale)
 * @property {CustomEvent<AudioFrame>} audio
 * @property {CustomEvent<PhoneError>} problem something failed, but the call goes on
 * @property {CustomEvent<End>} ended
 */

const CODECS = {
  pcmu: { encoding: "PCMU", rateHz: 8000 },
  l16: { encoding: "L16", rateHz: 16000 },
};
const DEFAULT_JITTER_MILLISECONDS = 60;
const FRAME_MILLISECONDS = 20;
const RECONNECT_MILLISECONDS = 15_000;
const RETRY_MILLISECONDS = [0, 250, 500, 1000, 2000];
/** If the network is slower than the microphone, older sound is of no use: frames are left out. */
const MAX_UNSENT_BYTES = 16_000;
const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const CALL_ENDED = 1000;

/** @type {Record<number, EndCode>} close codes after which no other connection can help */
const FINAL_CLOSES = { 4401: "token_refused", 4409: "in_use" };

/** Why a phone could not start, or what failed during the call. */
export class PhoneError extends Error {
  /**
   * @param {PhoneErrorCode} code
   * @param {string} message
   *
   * @typedef {"insecure_page" | "microphone_refused" | "microphone_missing" | "microphone_busy" | "microphone_lost" | "speaker_refused" | "call_refused" | "connection_failed"} PhoneErrorCode
   */
  constructor(code, message) {
    super(message);
    this.name = "PhoneError";
    this.code = code;
  }
}

/** One call. Create another phone for the next one. */
export class Phone extends EventTarget {
  /** Whether the caller's voice is replaced by silence. */
  isMuted = false;
  /** @type {string | null} */
  callId = null;
  #options;
  #codec;
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AudioWorkletNode | null} */
  #worklet = null;
  /** @type {MediaStream | null} */
  #microphone = null;
  /** @type {MediaStreamAudioSourceNode | null} */
  #source = null;
  /** @type {WebSocket | null} */
  #socket = null;
  #frames = 0;
  #hasEnded = false;
  #endReason = "";
  /** @type {number | null} when the connection was lost, until the server sends something again */
  #lostAt = null;

  /** @param {PhoneOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    this.#codec = CODECS[options.audio ?? "pcmu"];
  }

  /**
   * Adds a listener, as `addEventListener` does, but knows the type of each event.
   *
   * @template {keyof PhoneEvents} Name
   * @param {Name} name
   * @param {(event: PhoneEvents[Name]) => void} listener
   */
  on(name, listener) {
    this.addEventListener(name, /** @type {EventListener} */ (listener));
  }

  /**
   * Opens the microphone, creates the call and connects. Rejects with a `PhoneError`, or with the
   * error of `createCall`, if one of them fails. Nothing is left open then.
   */
  async start() {
    this.#emit("state", { name: "connecting" });
    try {
      const context = new AudioContext({ latencyHint: "interactive" });
      this.#context = context;
      // Nobody should be billed for a call without a microphone. So it must be open before the call
      // is created, unless the browser has allowed it before.
      if (!(await isMicrophoneAllowed())) await this.useMicrophone();
      const microphone = this.#microphone ? null : this.useMicrophone();
      await Promise.all([microphone, this.#createCall(context)]);
    } catch (error) {
      if (this.#hasEnded) return; // `hangUp` closed what this method was waiting for
      this.#send({ event: "stop" });
      this.#release();
      throw error;
    }
  }

  /** Ends the call. */
  hangUp() {
    this.#send({ event: "stop" });
    this.#end("hung_up", "");
  }

  /**
   * Presses a key of the phone: `0` to `9`, `*` or `#`.
   *
   * @param {string} digit
   */
  press(digit) {
    this.#send({ event: "dtmf", dtmf: { digit } });
  }

  /**
   * Uses another microphone from now on; without an id, the browser's default.
   *
   * @param {string} [deviceId]
   */
  async useMicrophone(deviceId) {
    const constraints = { ...MICROPHONE, ...this.#options.microphone };
    if (deviceId) constraints.deviceId = { exact: deviceId };
    const microphone = await openMicrophone(constraints);
    this.#closeMicrophone();
    if (this.#hasEnded || !this.#context) {
      stopTracks(microphone);
      return;
    }
    this.#microphone = microphone;
    this.#source = this.#context.createMediaStreamSource(microphone);
    if (this.#worklet) this.#source.connect(this.#worklet);
    microphone.getAudioTracks()[0].addEventListener("ended", () => {
      this.#emit("problem", new PhoneError("microphone_lost", "The microphone was disconnected."));
    });
  }

  /**
   * Plays through another device from now on, where the browser supports it.
   *
   * @param {string} deviceId
   */
  async useSpeaker(deviceId) {
    const context = /** @type {any} */ (this.#context);
    if (!context?.setSinkId) return;
    try {
      await context.setSinkId(deviceId);
    } catch (error) {
      throw new PhoneError("speaker_refused", `The browser cannot play there: ${error}`);
    }
  }

  /** @param {AudioContext} context */
  async #createCall(context) {
    const created = this.#options.createCall();
    const [ticket] = await Promise.all([created, this.#prepareSound(context)]);
    if (!ticket) throw new PhoneError("call_refused", "The server created no call.");
    this.callId = ticket.call_id;
    if (!this.#hasEnded) await this.#connect(ticket);
  }

  /** @param {AudioContext} context */
  async #prepareSound(context) {
    const module = new URL("phone-worklet.js", import.meta.url);
    await Promise.all([context.resume(), context.audioWorklet.addModule(module)]);
    const jitter = this.#options.jitterMilliseconds ?? DEFAULT_JITTER_MILLISECONDS;
    const worklet = new AudioWorkletNode(context, "phonebridge-phone", {
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { rateHz: this.#codec.rateHz, jitterSeconds: jitter / 1000 },
    });
    worklet.port.onmessage = (event) => this.#receiveFromWorklet(event.data);
    worklet.connect(context.destination);
    this.#source?.connect(worklet);
    this.#worklet = worklet;
    if (this.#options.speaker) await this.useSpeaker(this.#options.speaker);
  }

  /** @param {any} message */
  #receiveFromWorklet(message) {
    if (message.type === "mark") {
      this.#send({ event: "mark", mark: { name: message.name } });
      return;
    }
    const { caller, agent } = message;
    if (this.isMuted) caller.fill(0);
    this.#sendFrame(caller);
    this.#emit("level", { caller: levelOf(caller), agent: levelOf(agent) });
    this.#emit("audio", { caller, agent, rateHz: this.#codec.rateHz });
  }

  /** @param {Int16Array} samples */
  #sendFrame(samples) {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    this.#frames += 1;
    if (socket.bufferedAmount > MAX_UNSENT_BYTES) return;
    this.#send({
      event: "media",
      media: {
        chunk: String(this.#frames),
        timestamp: String(this.#frames * FRAME_MILLISECONDS),
        payload: toBase64(this.#codec === CODECS.pcmu ? encodePcmu(samples) : bytesOf(samples)),
      },
    });
  }

  /** @param {object} frame */
  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  /**
   * Resolves when the socket is open. The server sends no answer to the first two frames.
   *
   * @param {MediaTicket} ticket
   * @returns {Promise<void>}
   */
  #connect(ticket) {
    const socket = new WebSocket(ticket.media_url);
    return new Promise((resolve, reject) => {
      socket.onopen = () => {
        if (this.#hasEnded) {
          socket.close();
          resolve();
          return;
        }
        this.#socket = socket;
        this.#frames = 0;
        this.#introduce(ticket.media_token);
        socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
        socket.onclose = ({ code, reason }) => void this.#recover(code, reason);
        resolve();
      };
      socket.onclose = ({ code }) => {
        const message = `No connection to ${new URL(ticket.media_url).host} (close code ${code}).`;
        reject(new PhoneError("connection_failed", message));
      };
    });
  }

  /** @param {string} token */
  #introduce(token) {
    const { encoding, rateHz } = this.#codec;
    const media_format = { encoding, sample_rate: rateHz, channels: 1 };
    this.#send({ event: "connected", version: "1.0.0", token });
    this.#send({ event: "start", stream_id: crypto.randomUUID(), start: { media_format } });
    this.#tellOutputDelay();
  }

  #tellOutputDelay() {
    const seconds = this.#context?.outputLatency;
    if (seconds) this.#worklet?.port.postMessage({ type: "delay", seconds });
  }

  /** @param {any} frame */
  #receive(frame) {
    this.#lostAt = null;
    const port = this.#worklet?.port;
    if (frame.event === "media") {
      const bytes = fromBase64(frame.media.payload);
      const samples = this.#codec === CODECS.pcmu ? decodePcmu(bytes) : samplesOf(bytes);
      port?.postMessage({ type: "sound", samples }, [samples.buffer]);
    } else if (frame.event === "mark") {
      this.#tellOutputDelay();
      port?.postMessage({ type: "mark", name: frame.mark.name });
    } else if (frame.event === "clear") {
      port?.postMessage({ type: "clear" });
    } else if (frame.event === "state") {
      this.#receiveState(frame.state);
    } else if (frame.event === "transcript" || frame.event === "latency" || frame.event === "tool") {
      this.#emit(frame.event, frame[frame.event]);
    }
  }

  /** @param {{ name: StateName, reason?: string }} state */
  #receiveState(state) {
    if (state.name === "ended") this.#endReason = state.reason ?? "";
    else this.#emit("state", { name: state.name });
  }

  /**
   * Decides what a closed socket means, and opens another one if that can help.
   *
   * @param {number} code
   * @param {string} reason
   */
  async #recover(code, reason) {
    if (this.#hasEnded) return;
    this.#socket = null;
    this.#worklet?.port.postMessage({ type: "clear" });
    if (code === CALL_ENDED) this.#end("call_ended", this.#endReason || reason);
    else if (code in FINAL_CLOSES) this.#end(FINAL_CLOSES[code], reason);
    else if (this.#options.renewCall) await this.#reconnect(code);
    else this.#end(code === 1013 ? "no_room" : "connection_lost", closeReason(code, reason));
  }

  /** @param {number} code */
  async #reconnect(code) {
    this.#emit("state", { name: "reconnecting" });
    this.#lostAt ??= performance.now();
    const until = this.#lostAt + RECONNECT_MILLISECONDS;
    let failure = closeReason(code, "");
    for (let attempt = 0; !this.#hasEnded && performance.now() < until; attempt += 1) {
      await sleep(RETRY_MILLISECONDS[Math.min(attempt, RETRY_MILLISECONDS.length - 1)]);
      try {
        if (await this.#renew()) return;
        this.#end("call_ended", this.#endReason);
      } catch (error) {
        failure = error instanceof Error ? error.message : String(error);
      }
    }
    this.#end(code === 1013 ? "no_room" : "connection_lost", failure);
  }

  /** Returns whether the call goes on. */
  async #renew() {
    const ticket = await this.#options.renewCall?.(this.callId ?? "");
    if (!ticket || this.#hasEnded) return false;
    await this.#connect(ticket);
    this.#emit("state", { name: "listening" });
    return true;
  }

  /**
   * @param {EndCode} code
   * @param {string} reason
   */
  #end(code, reason) {
    if (this.#hasEnded) return;
    this.#release();
    this.#emit("state", { name: "ended" });
    this.#emit("ended", { code, reason });
  }

  #release() {
    this.#hasEnded = true;
    this.#socket?.close(CALL_ENDED);
    this.#closeMicrophone();
    if (this.#worklet) this.#worklet.port.onmessage = null;
    void this.#context?.close();
    this.#context = null;
    this.#worklet = null;
  }

  #closeMicrophone() {
    this.#source?.disconnect();
    if (this.#microphone) stopTracks(this.#microphone);
    this.#source = this.#microphone = null;
  }

  /**
   * @template {keyof PhoneEvents} Name
   * @param {Name} name
   * @param {PhoneEvents[Name]["detail"]} detail
   */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/**
 * @param {MediaTrackConstraints} constraints
 * @returns {Promise<MediaStream>}
 */
async function openMicrophone(constraints) {
  if (!navigator.mediaDevices) {
    throw new PhoneError(
      "insecure_page",
      "Browsers allow the microphone only on https pages and on localhost.",
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: constraints });
  } catch (error) {
    throw microphoneError(error instanceof DOMException ? error : new DOMException(String(error)));
  }
}

async function isMicrophoneAllowed() {
  try {
    const name = /** @type {PermissionName} */ ("microphone");
    return (await navigator.permissions.query({ name })).state === "granted";
  } catch {
    return false; // this browser does not tell
  }
}

/** @param {DOMException} error */
function microphoneError(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new PhoneError(
        "microphone_refused",
        "The browser does not allow this page to use the microphone.",
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return new PhoneError("microphone_missing", "No such microphone is connected.");
    default:
      return new PhoneError("microphone_busy", `The microphone cannot be opened: ${error.message}`);
  }
}

/** @param {MediaStream} stream */
function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/**
 * @param {number} code
 * @param {string} reason
 */
function closeReason(code, reason) {
  return reason || `The server closed the connection with code ${code}.`;
}

/** @param {number} milliseconds */
function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * Returns the level of a frame: 0 below -60 dBFS, 1 at full scale.
 *
 * @param {Int16Array} samples
 */
function levelOf(samples) {
  const energy = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  const decibels = 10 * Math.log10(energy / 32768 ** 2 + 1e-12);
  return Math.max(0, Math.min(1, 1 + decibels / 60));
}

// G.711 mu-law (ITU-T G.711): sign, three bits of exponent and four of mantissa, all inverted.
const MU_LAW_BIAS = 0x84;
const MU_LAW_MAX = 32635;
const DECODED_PCMU = Int16Array.from({ length: 256 }, (_, byte) => {
  const code = ~byte;
  const magnitude = ((((code & 0x0f) << 3) + MU_LAW_BIAS) << ((code & 0x70) >> 4)) - MU_LAW_BIAS;
  return code & 0x80 ? -magnitude : magnitude;
});

/** @param {Uint8Array} bytes */
export function decodePcmu(bytes) {
  return Int16Array.from(bytes, (byte) => DECODED_PCMU[byte]);
}

/** @param {Int16Array} samples */
export function encodePcmu(samples) {
  return Uint8Array.from(samples, (sample) => {
    const magnitude = Math.min(sample < 0 ? ~sample : sample, MU_LAW_MAX) + MU_LAW_BIAS;
    const exponent = 24 - Math.clz32(magnitude);
    const mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    return ~((sample < 0 ? 0x80 : 0) | (exponent << 4) | mantissa);
  });
}

// L16 on this socket is little-endian, like every machine that runs a browser.
/** @param {Int16Array} samples */
function bytesOf(samples) {
  return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function samplesOf(bytes) {
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}

/** @param {Uint8Array} bytes */
function toBase64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

/** @param {string} text */
function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
