// Runs in the page before its own scripts, and keeps what the page sends to the sound card.
(() => {
  const output = { rateHz: 0, length: 0, chunks: [], clears: [] };
  window.browserOutput = output;

  // Samples travel between page and test as base64 of 16 bit integers.
  output.read = () => {
    const samples = Int16Array.from(output.chunks.flat());
    const bytes = new Uint8Array(samples.buffer);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 8192) }, (_, index) =>
      String.fromCharCode(...bytes.subarray(8192 * index, 8192 * (index + 1))),
    );
    return { rateHz: output.rateHz, clears: output.clears, sound: btoa(pieces.join("")) };
  };

  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) tap(this);
    return connect.call(this, target, ...rest);
  };

  function tap(node) {
    const destination = node.context.createMediaStreamDestination();
    connect.call(node, destination);
    output.rateHz = node.context.sampleRate;
    void keep(destination.stream.getAudioTracks()[0]);
  }

  async function keep(track) {
    const { readable } = new MediaStreamTrackProcessor({ track, maxBufferSize: 1000 });
    for await (const data of readable) {
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      data.close();
      output.chunks.push(Array.from(samples, (each) => Math.round(each * 32767)));
      output.length += samples.length;
    }
  }

  // How much was played when the page received a `clear`.
  const receive = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
  Object.defineProperty(WebSocket.prototype, "onmessage", {
    set(listener) {
      receive.set.call(this, (event) => {
        if (JSON.parse(event.data).event === "clear") {
          output.clears.push(output.length);
        }
        listener(event);
      });
    },
  });

  // A microphone that says what a test tells it to say.
  let microphone;
  window.useScriptedMicrophone = () => {
    navigator.mediaDevices.getUserMedia = async () => {
      const context = new AudioContext();
      const destination = context.createMediaStreamDestination();
      microphone = { context, destination };
      return destination.stream;
    };
  };
  window.speakIntoMicrophone = (sound, rateHz) => {
    const bytes = Uint8Array.from(atob(sound), (character) => character.charCodeAt(0));
    const samples = new Int16Array(bytes.buffer);
    const buffer = microphone.context.createBuffer(1, samples.length, rateHz);
    buffer.copyToChannel(Float32Array.from(samples, (each) => each / 32768), 0);
    const source = microphone.context.createBufferSource();
    source.buffer = buffer;
    source.connect(microphone.destination);
    source.start();
  };
})();
