// A grid of positions over a picture: those that are marked are to be drawn anew. Painted by pointer or by keys.
const canvas = element.querySelector("canvas"), told = element.querySelector(".told");
const brush = element.querySelector(".brush");
let rows = 0, columns = 0, mask = [], at = [0, 0], picture = null, painting = null, focused = false, shown = null;

function read() {
  const value = props.value || {};
  rows = value.rows || 0;
  columns = value.columns || 0;
  mask = (value.mask || []).slice();
  at = [Math.min(at[0], Math.max(rows - 1, 0)), Math.min(at[1], Math.max(columns - 1, 0))];
  canvas.classList.toggle("wide", rows === 1);
  if (value.picture && value.picture !== shown) {
    shown = value.picture;
    picture = new Image();
    picture.onload = draw;
    picture.src = value.picture;
  } else if (!value.picture) { picture = null; shown = null; }
  draw();
}

function write() {
  props.value = { ...props.value, mask: mask.slice() };
  draw();
}

function tell(more) {
  const marked = mask.reduce((sum, each) => sum + each, 0), all = rows * columns;
  told.textContent = `${more || ""}${marked} of ${all} positions will be drawn anew, the others are held.`;
  canvas.setAttribute("aria-label", `Grid of ${rows} by ${columns} positions, ${marked} to be drawn anew. `
    + "Arrow keys move, Space marks or frees a position, Shift with arrow keys paints.");
}

function cell(row, column) {
  return [column * canvas.width / columns, row * canvas.height / rows, canvas.width / columns, canvas.height / rows];
}

function draw() {
  const wide = canvas.clientWidth * (window.devicePixelRatio || 1);
  if (!rows || !wide) return;
  const high = rows === 1 ? Math.min(wide / 3, 260) : wide * rows / columns;
  if (canvas.width !== Math.round(wide) || canvas.height !== Math.round(high)) {
    canvas.width = Math.round(wide); canvas.height = Math.round(high);
  }
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.fillStyle = "#8b95a5";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (picture && picture.complete) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  for (let row = 0; row < rows; row += 1) for (let column = 0; column < columns; column += 1) {
    if (!mask[row * columns + column]) continue;
    const [left, top, width, height] = cell(row, column);
    pen.fillStyle = "rgba(37, 99, 235, 0.62)";
    pen.fillRect(left, top, width, height);
    pen.strokeStyle = "rgba(255, 255, 255, 0.55)";
    pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(left, top + height); pen.lineTo(left + width, top); pen.stroke();
  }
  pen.strokeStyle = "rgba(255, 255, 255, 0.28)";
  pen.lineWidth = 1;
  pen.beginPath();
  for (let row = 1; row < rows; row += 1) { pen.moveTo(0, row * canvas.height / rows); pen.lineTo(canvas.width, row * canvas.height / rows); }
  for (let column = 1; column < columns; column += 1) { pen.moveTo(column * canvas.width / columns, 0); pen.lineTo(column * canvas.width / columns, canvas.height); }
  pen.stroke();
  if (focused) {
    const [left, top, width, height] = cell(at[0], at[1]);
    pen.strokeStyle = "#ffffff"; pen.lineWidth = 5; pen.strokeRect(left, top, width, height);
    pen.strokeStyle = "#dc2626"; pen.lineWidth = 2.5; pen.strokeRect(left, top, width, height);
  }
  tell();
}

function paint(row, column, value) {
  const side = Number(brush.value), before = Math.floor((side - 1) / 2);
  for (let r = row - before; r < row - before + side; r += 1) for (let c = column - before; c < column - before + side; c += 1) {
    if (r >= 0 && r < rows && c >= 0 && c < columns) mask[r * columns + c] = value;
  }
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [Math.min(rows - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * rows))),
    Math.min(columns - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * columns)))];
}

function stroke(to) {
  const steps = Math.max(Math.abs(to[0] - at[0]), Math.abs(to[1] - at[1]), 1);
  for (let step = 1; step <= steps; step += 1) {
    paint(Math.round(at[0] + (to[0] - at[0]) * step / steps), Math.round(at[1] + (to[1] - at[1]) * step / steps), painting);
  }
  at = to;
  draw();
}

canvas.addEventListener("pointerdown", (event) => {
  if (!rows) return;
  canvas.setPointerCapture(event.pointerId);
  canvas.focus({ preventScroll: true });
  at = place(event);
  painting = mask[at[0] * columns + at[1]] ? 0 : 1;
  stroke(at);
  event.preventDefault();
});
canvas.addEventListener("pointermove", (event) => { if (painting !== null && event.buttons) stroke(place(event)); });
const finish = () => { if (painting !== null) { painting = null; write(); } };
canvas.addEventListener("pointerup", finish);
canvas.addEventListener("pointercancel", finish);
canvas.addEventListener("focus", () => { focused = canvas.matches(":focus-visible"); draw(); });
canvas.addEventListener("blur", () => { focused = false; draw(); });

canvas.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!rows || (!step && event.key !== " " && event.key !== "Enter")) return;
  event.preventDefault();
  focused = true;
  if (step) {
    const kept = mask[at[0] * columns + at[1]];
    at = [Math.min(rows - 1, Math.max(0, at[0] + step[0])), Math.min(columns - 1, Math.max(0, at[1] + step[1]))];
    if (event.shiftKey) { paint(at[0], at[1], kept); write(); }
  } else {
    paint(at[0], at[1], mask[at[0] * columns + at[1]] ? 0 : 1);
    write();
  }
  draw();
  tell(`Row ${at[0] + 1}, column ${at[1] + 1}${mask[at[0] * columns + at[1]] ? ", to be drawn" : ", held"}. `);
});

const inside = (place, side) => place >= side / 4 && place < side * 3 / 4;
const every = {
  redraw: () => 1,
  hold: () => 0,
  invert: (row, column) => 1 - (mask[row * columns + column] || 0),
  below: (row, column) => Number(rows > 1 ? row >= rows / 2 : column >= columns / 2),
  middle: (row, column) => Number((rows === 1 || inside(row, rows)) && inside(column, columns)),
};
element.querySelectorAll("[data-all]").forEach((button) => button.addEventListener("click", () => {
  const rule = every[button.dataset.all];
  mask = Array.from({ length: rows * columns }, (_, number) => rule(Math.floor(number / columns), number % columns));
  write();
}));

watch("value", read);
new ResizeObserver(draw).observe(canvas);
read();
