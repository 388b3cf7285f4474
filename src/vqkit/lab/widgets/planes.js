// Four planes through latent spaces: a point is dragged, or moved by the arrow keys, and the server decodes it.
const find = (query) => element.querySelector(query);
const state = { ladder: null, item: 0, pair: 0, seed: 0, rungs: {}, data: null };

const say = (text) => { find(".say").textContent = text || ""; };

async function ask(name, request) {
  try {
    const answer = await server[name](request);
    if (answer && answer.error) { say(answer.error); return null; }
    return answer;
  } catch (error) {
    say("The lab does not answer; is it still running?");
    return null;
  }
}

function make(tag, options, parent) {
  const made = Object.assign(document.createElement(tag), options);
  if (parent) parent.append(made);
  return made;
}

function toPad(rung, x, y) {
  const [left, bottom, right, top] = rung.box;
  return [(x - left) / (right - left) * rung.pad.width, (top - y) / (top - bottom) * rung.pad.height];
}

function draw(rung) {
  const pad = rung.pad, side = Math.round(pad.clientWidth * (window.devicePixelRatio || 1));
  if (!side) return;
  if (pad.width !== side) { pad.width = side; pad.height = side; }
  const pen = pad.getContext("2d"), unit = side / 290;
  pen.clearRect(0, 0, side, side);
  rung.points.forEach(([x, y], number) => {
    const [across, down] = toPad(rung, x, y);
    pen.globalAlpha = 0.75;
    pen.fillStyle = state.data.colors[state.data.labels[number] % state.data.colors.length];
    pen.beginPath(); pen.arc(across, down, 2.6 * unit, 0, 7); pen.fill();
  });
  pen.globalAlpha = 1;
  const ink = getComputedStyle(pad).color;
  (rung.drawn || []).forEach(({ x, y }) => {
    const [across, down] = toPad(rung, x, y);
    pen.strokeStyle = ink; pen.lineWidth = 1.6 * unit;
    pen.strokeRect(across - 4 * unit, down - 4 * unit, 8 * unit, 8 * unit);
  });
  const [across, down] = toPad(rung, rung.x, rung.y);
  pen.strokeStyle = "#ffffff"; pen.lineWidth = 6 * unit;
  pen.beginPath(); pen.arc(across, down, 8 * unit, 0, 7); pen.stroke();
  pen.strokeStyle = "#dc2626"; pen.lineWidth = 3 * unit;
  pen.beginPath(); pen.arc(across, down, 8 * unit, 0, 7); pen.stroke();
}

function show(rung, answer) {
  rung.image.src = answer.picture;
  rung.where.textContent = answer.text;
  rung.image.alt = `${rung.title}: what the point decodes to. ${answer.text}`;
  rung.pad.dataset.ms = answer.ms;
}

async function decode(rung) {
  if (rung.busy) { rung.waiting = true; return; }
  rung.busy = true;
  do {
    rung.waiting = false;
    const asked = { ladder: state.ladder, key: rung.key, pair: state.pair, item: state.item, x: rung.x, y: rung.y };
    const answer = await ask("decode", asked);
    if (answer && asked.item === state.item && asked.pair === state.pair) { show(rung, answer); say(""); }
  } while (rung.waiting);
  rung.busy = false;
}

function move(rung, x, y) {
  const [left, bottom, right, top] = rung.box;
  rung.x = Math.min(Math.max(x, left), right);
  rung.y = Math.min(Math.max(y, bottom), top);
  draw(rung);
  decode(rung);
}

function follow(rung, event) {
  const box = rung.pad.getBoundingClientRect(), [left, bottom, right, top] = rung.box;
  move(rung, left + (event.clientX - box.left) / box.width * (right - left),
    top - (event.clientY - box.top) / box.height * (top - bottom));
}

function onKey(rung, event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!steps) return;
  event.preventDefault();
  const part = event.shiftKey ? 0.1 : 0.02, [left, bottom, right, top] = rung.box;
  move(rung, rung.x + steps[0] * part * (right - left), rung.y + steps[1] * part * (top - bottom));
}

async function sample(rung) {
  state.seed += 1;
  const answer = await ask("sample", { ladder: state.ladder, key: rung.key, pair: state.pair, seed: state.seed });
  if (!answer) return;
  rung.drawn = answer.points;
  rung.fresh.replaceChildren();
  answer.points.forEach((point, number) => {
    const button = make("button", { type: "button", title: "Show where it lies" }, rung.fresh);
    make("img", { src: point.picture, alt: `${rung.title}: new sample ${number + 1}` }, button);
    button.addEventListener("click", () => { rung.x = point.x; rung.y = point.y; draw(rung);
      show(rung, { picture: point.picture, text: `sample ${number + 1}: ${point.text}`, ms: 0 }); });
  });
  rung.from.textContent = `Drawn from ${answer.from}.`;
  draw(rung);
}

function card(each) {
  const rung = { ...each }, box = make("section", { className: "rung" }, find(".rungs"));
  box.dataset.rung = each.key;
  make("h3", { textContent: each.title }, box);
  make("p", { className: "about", textContent: each.about }, box);
  const parts = make("div", { className: "parts" }, box);
  rung.pad = make("canvas", { className: "pad", tabIndex: 0, width: 10, height: 10 }, parts);
  rung.pad.setAttribute("role", "application");
  rung.pad.setAttribute("aria-label",
    `Latent plane of ${each.title}: drag the point, or move it by the arrow keys (with Shift farther)`);
  const out = make("div", { className: "out" }, parts);
  rung.image = make("img", {}, out);
  rung.where = make("p", { className: "where" }, out);
  const button = make("button", { type: "button", textContent: "Sample from this latent space" }, box);
  rung.fresh = make("div", { className: "new" }, box);
  rung.from = make("p", { className: "from" }, box);
  button.addEventListener("click", () => sample(rung));
  rung.pad.addEventListener("pointerdown", (event) => { rung.pad.setPointerCapture(event.pointerId);
    rung.pad.focus({ preventScroll: true }); follow(rung, event); event.preventDefault(); });
  rung.pad.addEventListener("pointermove", (event) => { if (event.buttons) follow(rung, event); });
  rung.pad.addEventListener("keydown", (event) => onKey(rung, event));
  state.rungs[each.key] = rung;
  new ResizeObserver(() => draw(rung)).observe(rung.pad);
  show(rung, each);
}

async function begin(item) {
  if (!state.ladder) { element.hidden = true; return; }
  element.hidden = false;
  say("Looking at the latents ...");
  const data = await ask("begin", { ladder: state.ladder, pair: state.pair, item });
  if (!data) return;
  say("");
  state.data = data;
  state.item = data.item;
  state.rungs = {};
  find(".rungs").replaceChildren();
  find(".item").src = data.picture;
  find(".name").textContent = data.name;
  const axes = find(".axes");
  axes.replaceChildren();
  data.pairs.forEach((text, number) => make("option", { value: number, textContent: text }, axes));
  axes.value = state.pair;
  find(".key").replaceChildren();
  data.classes.forEach((text, number) => {
    const entry = make("span", {}, find(".key"));
    make("i", {}, entry).style.background = data.colors[number % data.colors.length];
    entry.append(text);
  });
  data.rungs.forEach(card);
}

function restart() {
  const ladder = props.value && props.value.ladder;
  if (ladder === state.ladder) return;
  state.ladder = ladder;
  state.pair = 0;
  begin(0);
}

find(".again").addEventListener("click", () => begin(Math.floor(Math.random() * 1e9)));
find(".axes").addEventListener("change", (event) => { state.pair = Number(event.target.value); begin(state.item); });
watch("value", restart);
state.ladder = props.value && props.value.ladder;
begin(0);
