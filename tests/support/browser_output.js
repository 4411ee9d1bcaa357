// Runs in the page before its own scripts, and keeps what the page sends to the sound card.
(() => {
  const output = { rateHz: 0, seconds: 0, chunks: [], clears: [] };
  window.browserOutput = output;

  // Samples travel between page and test as base64 of 16 bit integers.
  output.read = () => {
    const samples = Int16Array.from(output.chunks.flat());
    const bytes = new Uint8Array(samples.buffer);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 8192) }, (_, index) =>
      String.fromCharCode(...bytes.subarray(8192 * index, 8192 * (index + 1))),
    );
    const { rateHz, startsAt, clears } = output;
    return { rateHz, startsAt, clears, sound: btoa(pieces.join("")) };
  };

  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) tap(this);
    return connect.call(this, target, ...rest);
  };

  // The first channel is the output, the second one is the clock of the audio in seconds.
  function tap(node) {
    const { context } = node;
    const clock = new ConstantSourceNode(context, { offset: 0 });
    clock.offset.setValueAtTime(0, 0);
    clock.offset.linearRampToValueAtTime(1000, 1000);
    clock.start();
    const merger = new ChannelMergerNode(context, { numberOfInputs: 2 });
    const copy = context.createMediaStreamDestination();
    connect.call(node, merger, 0, 0);
    connect.call(clock, merger, 0, 1);
    connect.call(merger, copy);
    output.rateHz = context.sampleRate;
    output.context = context;
    void keep(copy.stream.getAudioTracks()[0]);
  }

  async function keep(track) {
    const { readable } = new MediaStreamTrackProcessor({ track, maxBufferSize: 1000 });
    for await (const data of readable) {
      const [samples, times] = [0, 1].map((planeIndex) => {
        const plane = new Float32Array(data.numberOfFrames);
        data.copyTo(plane, { planeIndex, format: "f32-planar" });
        return plane;
      });
      data.close();
      output.startsAt ??= times[0];
      output.seconds = times.at(-1);
      output.chunks.push(Array.from(samples, (each) => Math.round(each * 32767)));
    }
  }

  // The time of the audio when the page receives a `clear`.
  const receive = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
  Object.defineProperty(WebSocket.prototype, "onmessage", {
    set(listener) {
      receive.set.call(this, (event) => {
        if (JSON.parse(event.data).event === "clear") {
          output.clears.push(output.context.currentTime);
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
