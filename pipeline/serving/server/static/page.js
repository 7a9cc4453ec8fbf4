// Sends a sound to the server, and shows what comes back.
import * as draw from "./draw.js";

const at = (id) => document.getElementById(id);
let shown = null;
let playing = "";
let info = { has_neighbors: false, most_bytes: Infinity };

function say(text, isError = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", isError);
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// Returns a WAV file, 16 bits, one channel.
function wav(samples, rate) {
  const header = new DataView(new ArrayBuffer(44));
  const text = (place, letters) => [...letters].forEach((letter, i) => header.setUint8(place + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, 2 * samples.length, true);
  return new Blob([header, samples], { type: "audio/wav" });
}

async function embed(sound, name) {
  if (sound.size > info.most_bytes) {
    say(`${name} is larger than ${Math.floor(info.most_bytes / 2 ** 20)} MiB: choose a part of it.`, true);
    return;
  }
  say(`embedding ${name} ...`);
  try {
    const answer = await fetch("/page/embed", { method: "POST", body: sound });
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.error);
    show(result, name);
    say("");
  } catch (error) {
    say(error.message, true);
  }
}

function show(result, name) {
  const samples = new Int16Array(bytes(result.samples).buffer);
  shown = { result, samples, values: bytes(result.picture.values) };
  at("result").hidden = false;
  at("title").textContent = `${name}, ${result.seconds.toFixed(1)} s`;
  URL.revokeObjectURL(playing);
  // What the model gets, and what every browser can play, whatever the format of the file.
  playing = URL.createObjectURL(wav(samples, result.sample_rate));
  at("player").src = playing;
  const parts = Object.entries(result.parts).map(([part, size]) => `${part} ${size}`);
  at("parts").textContent = `embedding, ${result.embedding.length} values: ${parts.join(", ")}`;
  redraw();
  list(result);
}

function redraw() {
  if (!shown) return;
  const { bands, columns } = shown.result.picture;
  draw.waveform(at("waveform"), shown.samples);
  draw.picture(at("picture"), shown.values, bands, columns);
  draw.strip(at("strip"), shown.result.embedding, Object.values(shown.result.parts));
}

function list(result) {
  at("neighbors").hidden = !info.has_neighbors;
  at("note").textContent = result.note;
  at("list").replaceChildren(...result.neighbors.map(item));
}

function item(neighbor) {
  const entry = document.createElement("li");
  const add = (tag, className, text) => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text;
    entry.append(element);
    return element;
  };
  add("span", "cosine", neighbor.cosine.toFixed(3));
  const [, folder, file] = neighbor.name.match(/^(.*\/)?(.*)$/s);
  const name = add("span", "name", file);
  const place = document.createElement("span");
  place.className = "place";
  place.textContent = `${neighbor.start_s.toFixed(1)} to ${neighbor.end_s.toFixed(1)} s, ${folder ?? ""}`;
  name.append(place);
  if (neighbor.has_sound) {
    const player = add("audio", "", "");
    player.controls = true;
    player.preload = "none";
    player.src = `/page/sounds/${neighbor.row}`;
    player.addEventListener("error", () => player.replaceWith("cannot be played: its file is gone or damaged"));
  }
  return entry;
}

// A chirp with an echo of noise: something to see for who has no sound at hand.
function example() {
  const rate = 16000;
  const samples = new Int16Array(3 * rate);
  for (let i = 0; i < samples.length; i++) {
    const time = i / rate;
    const chirp = Math.sin(2 * Math.PI * (200 * time + 450 * time * time)) * Math.exp(-((time % 1) * 3));
    samples[i] = 9000 * chirp + 600 * Math.sin(12.9898 * i * i);
  }
  return wav(samples, rate);
}

let recorder = null;

async function record() {
  if (recorder) {
    recorder.stop();
    return;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const portions = [];
    recorder = new MediaRecorder(stream);
    recorder.addEventListener("dataavailable", (event) => portions.push(event.data));
    recorder.addEventListener("stop", () => {
      stream.getTracks().forEach((track) => track.stop());
      const sound = new Blob(portions, { type: recorder.mimeType });
      recorder = null;
      at("record").textContent = "record";
      at("record").classList.remove("on");
      embed(sound, "recording");
    });
    recorder.start();
    at("record").textContent = "stop";
    at("record").classList.add("on");
    say("recording ...");
  } catch (error) {
    recorder = null;
    say(`There is no microphone: ${error.message}`, true);
  }
}

at("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) embed(file, file.name);
  event.target.value = "";
});
at("example").addEventListener("click", () => embed(example(), "generated sound"));
at("record").addEventListener("click", record);
// Only in a page that came encrypted, or from this machine, browsers give the microphone away.
at("record").hidden = !navigator.mediaDevices || !window.MediaRecorder;

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) embed(file, file.name);
});
window.addEventListener("resize", redraw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

info = await (await fetch("/page/info")).json();
at("model").textContent =
  `${info.name}, version ${info.version}: ${info.dim} values from ${info.formats.join(" and ")} at ${info.sample_rate} Hz, ` +
  `the mean over windows of ${Number(info.window_seconds.toFixed(3))} s`;
