// The script of token_grid.py: `element`, `props`, `trigger` and `watch` are given by gradio.
const state = { at: [0, 0], image: null, source: null };
const canvas = () => element.querySelector("canvas.vq-grid");
const told = () => element.querySelector(".vq-grid-told");
const color = (code) => code < 0 ? "#7774" : `hsl(${(code * 137.508) % 360} 55% ${38 + (code * 29) % 34}%)`;

function cellSize(value) {
  const box = element.querySelector(".vq-grid-scroll");
  const width = Math.max((box && box.clientWidth) || 320, value.leastCell * value.columns);
  return width / value.columns;
}

function draw() {
  const value = props.value, surface = canvas();
  if (!surface) return;
  surface.style.display = value ? "block" : "none";
  if (!value) { told().textContent = ""; return; }
  surface.setAttribute("aria-label", `${props.grid_label}: ${value.rows} by ${value.columns} positions; ` +
    "arrow keys move, Enter chooses");
  const ratio = window.devicePixelRatio || 1, cell = cellSize(value);
  const ratioOfImage = state.image && value.picture ? state.image.height / state.image.width : null;
  const high = ratioOfImage ? cell * value.columns * ratioOfImage / value.rows
    : Math.min(Math.max(cell, 26), value.leastCell ? 34 : 64);
  surface.style.width = `${cell * value.columns}px`;
  surface.style.height = `${high * value.rows}px`;
  surface.width = Math.round(cell * value.columns * ratio);
  surface.height = Math.round(high * value.rows * ratio);
  const pen = surface.getContext("2d");
  pen.scale(ratio, ratio);
  const width = cell * value.columns, height = high * value.rows;
  pen.imageSmoothingEnabled = state.image && state.image.width > width;
  if (value.picture && state.image) pen.drawImage(state.image, 0, 0, width, height);
  else if (!value.picture) value.codes.forEach((code, number) => {
    pen.fillStyle = color(code);
    pen.fillRect((number % value.columns) * cell, Math.floor(number / value.columns) * high, cell, high);
  });
  pen.fillStyle = "rgba(37, 99, 235, 0.45)";
  for (const [row, column] of value.marked) pen.fillRect(column * cell, row * high, cell, high);
  if (Math.min(cell, high) >= 6) {
    pen.lineWidth = 1;
    pen.strokeStyle = "rgba(255, 255, 255, 0.28)";
    pen.beginPath();
    for (let row = 1; row < value.rows; row++) { pen.moveTo(0, row * high); pen.lineTo(width, row * high); }
    for (let column = 1; column < value.columns; column++) {
      pen.moveTo(column * cell, 0); pen.lineTo(column * cell, height);
    }
    pen.stroke();
  }
  const outline = (row, column, inner, outer) => {
    pen.lineWidth = 4; pen.strokeStyle = outer; pen.strokeRect(column * cell, row * high, cell, high);
    pen.lineWidth = 2; pen.strokeStyle = inner; pen.strokeRect(column * cell, row * high, cell, high);
  };
  for (const [row, column] of value.changed) outline(row, column, "#fbbf24", "rgba(0, 0, 0, 0.7)");
  outline(state.at[0], state.at[1], "#ffffff", "#1d4ed8");
  say();
}

function say() {
  const value = props.value;
  if (!value) return;
  const [row, column] = state.at, code = value.codes[row * value.columns + column];
  const where = `${value.words[0]} ${row + 1}, ${value.words[1]} ${column + 1 + value.first}`;
  const text = `${where}: ${code < 0 ? "no code" : `code ${code}`}`;
  if (told().textContent !== text) told().textContent = text;
}

function move(row, column) {
  const value = props.value;
  state.at = [Math.min(Math.max(row, 0), value.rows - 1), Math.min(Math.max(column, 0), value.columns - 1)];
  draw();
}

function choose() {
  const value = props.value, [row, column] = state.at;
  trigger("select", { index: [row, column], value: value.codes[row * value.columns + column], selected: true });
}

function refresh() {
  const value = props.value;
  if (value && value.at) state.at = value.at.slice();
  if (value) state.at = [Math.min(state.at[0], value.rows - 1), Math.min(state.at[1], value.columns - 1)];
  if (!value || !value.picture) { state.image = null; state.source = null; draw(); return; }
  if (state.source === value.picture) { draw(); return; }
  const image = new Image();
  image.onload = () => { state.image = image; state.source = value.picture; draw(); };
  image.src = value.picture;
}

element.addEventListener("click", (event) => {
  if (event.target !== canvas() || !props.value) return;
  const box = canvas().getBoundingClientRect(), value = props.value;
  move(Math.floor((event.clientY - box.top) / box.height * value.rows),
    Math.floor((event.clientX - box.left) / box.width * value.columns));
  choose();
});
element.addEventListener("keydown", (event) => {
  if (event.target !== canvas() || !props.value) return;
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  if (steps[event.key]) {
    move(state.at[0] + steps[event.key][0], state.at[1] + steps[event.key][1]);
  } else if (event.key === "Home") move(state.at[0], 0);
  else if (event.key === "End") move(state.at[0], props.value.columns - 1);
  else if (event.key === "Enter" || event.key === " ") choose();
  else return;
  event.preventDefault();
});
new ResizeObserver(draw).observe(element);
watch("value", refresh);
refresh();
