// Runs in the page before its own scripts. It notes when the page is clicked, when its microphone
// gets louder, and when its output gets louder, all on the same clock.
(() => {
  const LOUD = 0.02;
  const QUIET_MS = 150;
  const probe = { clickedAt: 0, spoken: [], heard: [] };
  window.probe = probe;

  window.addEventListener("click", () => (probe.clickedAt = performance.now()), true);

  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      const copy = this.context.createMediaStreamDestination();
      connect.call(this, copy);
      void note(copy.stream, probe.heard);
    }
    return connect.call(this, target, ...rest);
  };

  // Adds the time of each sound that follows silence.
  async function note(stream, onsets) {
    const [track] = stream.getAudioTracks();
    const { readable } = new MediaStreamTrackProcessor({ track, maxBufferSize: 1000 });
    let loudAt = -Infinity;
    for await (const data of readable) {
      const now = performance.now();
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      const first = samples.findIndex((each) => Math.abs(each) > LOUD);
      if (first >= 0) {
        const at = now - ((samples.length - first) / data.sampleRate) * 1000;
        if (at - loudAt > QUIET_MS) onsets.push(at);
        loudAt = now;
      }
      data.close();
    }
  }

  // A microphone that says a short tone again and again.
  window.usePulses = (everySeconds, count) => {
    navigator.mediaDevices.getUserMedia = async () => {
      const context = new AudioContext();
      const microphone = context.createMediaStreamDestination();
      const tone = context.createOscillator();
      const gain = context.createGain();
      gain.gain.value = 0;
      for (let number = 1; number <= count; number += 1) {
        const at = context.currentTime + number * everySeconds;
        gain.gain.setValueAtTime(0.5, at);
        gain.gain.setValueAtTime(0, at + 0.05);
      }
      tone.connect(gain).connect(microphone);
      tone.start();
      void note(microphone.stream, probe.spoken);
      return microphone.stream;
    };
  };
})();
