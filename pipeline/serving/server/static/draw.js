// Draws sounds and embeddings on canvases.

// Stops of a colour map whose brightness grows evenly, from black over purple and orange to a pale yellow.
const STOPS = [[0, 0, 4], [40, 17, 89], [114, 31, 129], [183, 55, 121], [241, 96, 93], [254, 176, 120], [252, 253, 191]];

function colour(value) {
  const place = Math.min(Math.max(value, 0), 1) * (STOPS.length - 1);
  const low = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[low].map((start, i) => Math.round(start + (place - low) * (STOPS[low + 1][i] - start)));
}

// Makes the canvas as sharp as the screen is.
function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  canvas.style.height = `${canvas.getAttribute("data-height") ?? canvas.height}px`;
  if (!canvas.hasAttribute("data-height")) canvas.setAttribute("data-height", canvas.height);
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.round(Number(canvas.getAttribute("data-height")) * ratio);
  return canvas.getContext("2d");
}

function ink(name) {
  // A custom property holds both schemes' colours; the canvas needs the one that applies.
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const shown = getComputedStyle(probe).color;
  probe.remove();
  return shown;
}

// Draws the lowest and the highest sample of each column.
export function waveform(canvas, samples) {
  const context = prepare(canvas);
  const { width, height } = canvas;
  context.fillStyle = ink("--accent");
  for (let x = 0; x < width; x++) {
    const start = Math.floor((x * samples.length) / width);
    const end = Math.max(start + 1, Math.floor(((x + 1) * samples.length) / width));
    let low = 32767;
    let high = -32768;
    for (let i = start; i < Math.min(end, samples.length); i++) {
      low = Math.min(low, samples[i]);
      high = Math.max(high, samples[i]);
    }
    const top = (height / 2) * (1 - high / 32768);
    context.fillRect(x, top, 1, Math.max(1, (height / 2) * (1 - low / 32768) - top));
  }
}

// Draws bytes in rows, of which the first one is at the bottom.
export function picture(canvas, values, rows, columns) {
  const image = new ImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const pixel = 4 * ((rows - 1 - row) * columns + column);
      image.data.set([...colour(values[row * columns + column] / 255), 255], pixel);
    }
  }
  const source = document.createElement("canvas");
  source.width = columns;
  source.height = rows;
  source.getContext("2d").putImageData(image, 0, 0);
  const context = prepare(canvas);
  context.imageSmoothingEnabled = columns > canvas.width;
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
}

// Draws each value of an embedding as a bar: the darker, the smaller among those of the same part.
export function strip(canvas, embedding, sizes) {
  const context = prepare(canvas);
  const width = canvas.width / embedding.length;
  let first = 0;
  for (const size of sizes) {
    const part = embedding.slice(first, first + size);
    const lowest = Math.min(...part);
    const range = Math.max(...part) - lowest || 1;
    part.forEach((value, i) => {
      context.fillStyle = `rgb(${colour((value - lowest) / range).join(" ")})`;
      context.fillRect((first + i) * width, 0, Math.ceil(width), canvas.height);
    });
    first += size;
    if (first < embedding.length) context.clearRect(first * width - 2, 0, 4, canvas.height);
  }
}
