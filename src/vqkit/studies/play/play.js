// Planes with a point to drag, a token grid, a slider over beta; everything shown was decoded beforehand.
"use strict";

(() => {
  const block = document.getElementById("play-data");
  if (!block) return;
  const data = JSON.parse(block.textContent);
  const find = (query, inside = document) => inside.querySelector(query);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const SVG = "http://www.w3.org/2000/svg";

  function make(tag, options = {}, parent = null) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (name === "text") made.textContent = value; else made.setAttribute(name, value);
    }
    if (parent) parent.append(made);
    return made;
  }

  function shape(tag, options, parent) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(options)) made.setAttribute(name, value);
    parent.append(made);
    return made;
  }

  const ready = (image) => image.complete && image.naturalWidth ? Promise.resolve()
    : new Promise((done) => image.addEventListener("load", done, { once: true }));
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  // Planes

  const rungs = [];
  const where = (value) => value.toFixed(2).replace("-", "\u2212");

  function showPoint(rung, live) {
    const { side, reach, tile, points } = rung.plane, step = side / (2 * reach);
    const column = clamp(Math.floor((rung.x + reach) * step), 0, side - 1);
    const row = clamp(Math.floor((reach - rung.y) * step), 0, side - 1);
    const [high, wide] = tile, pen = rung.canvas.getContext("2d");
    pen.drawImage(rung.image, column * wide, row * high, wide, high, 0, 0, wide, high);
    const across = (rung.x + reach) / (2 * reach) * 100, down = (reach - rung.y) / (2 * reach) * 100;
    for (const ring of rung.rings) { ring.setAttribute("cx", across); ring.setAttribute("cy", down); }
    const nearest = Math.min(...points.map(([x, y]) => Math.hypot(x - rung.x, y - rung.y)));
    const told = `x ${where(rung.x)}, y ${where(rung.y)}`;
    rung.where.setAttribute("aria-live", live ? "polite" : "off");
    rung.where.textContent = `${told}. The nearest of ${points.length} dots is ${nearest.toFixed(2)} away.`;
    rung.canvas.setAttribute("aria-label", `${rung.title}: what the place ${told} decodes to`);
  }

  function moveTo(rung, x, y) {
    const together = find(".together").checked, { reach } = rung.plane;
    for (const each of together ? rungs : [rung]) {
      each.x = clamp(x, -reach, reach);
      each.y = clamp(y, -reach, reach);
      showPoint(each, each === rung);
    }
  }

  function follow(rung, event) {
    const box = rung.pad.getBoundingClientRect(), { reach } = rung.plane;
    moveTo(rung, ((event.clientX - box.left) / box.width * 2 - 1) * reach,
      (1 - (event.clientY - box.top) / box.height * 2) * reach);
  }

  async function openPlane(card) {
    const plane = data.planes[card.dataset.key], pad = find(".pad", card), out = find(".out", card);
    const rung = { plane, pad, x: 0, y: 0, title: find("h3", card).textContent, image: find("img", pad),
      canvas: find("canvas", out), where: find(".where", out) };
    out.hidden = false;
    [rung.canvas.height, rung.canvas.width] = plane.tile;
    const drawn = shape("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" }, pad);
    plane.points.forEach(([x, y], number) => {
      const color = data.colors[plane.labels ? Math.max(plane.labels[number], 0) : 0];
      shape("circle", { cx: (x / plane.reach + 1) * 50, cy: (1 - y / plane.reach) * 50, r: 0.95, fill: color,
        stroke: "#fff", "stroke-width": 0.25 }, drawn);
    });
    rung.rings = [["#fff", 2.2], ["#dc2626", 1.1]].map(([stroke, width]) =>
      shape("circle", { r: 3.2, fill: "none", stroke, "stroke-width": width }, drawn));
    pad.tabIndex = 0;
    pad.setAttribute("role", "application");
    pad.setAttribute("aria-roledescription", "plane");
    pad.setAttribute("aria-label", `Plane of ${rung.title}: move the point by the arrow keys, with Shift farther`);
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      pad.focus({ preventScroll: true });
      follow(rung, event);
      event.preventDefault();
    });
    pad.addEventListener("pointermove", (event) => { if (event.buttons) follow(rung, event); });
    pad.addEventListener("keydown", (event) => {
      const steps = arrows[event.key];
      if (!steps) return;
      event.preventDefault();
      const size = 2 * plane.reach / plane.side * (event.shiftKey ? 4 : 1);
      moveTo(rung, rung.x + steps[0] * size, rung.y - steps[1] * size);
    });
    rungs.push(rung);
    await ready(rung.image);
    showPoint(rung, false);
  }

  function openPlanes() {
    const cards = [...document.querySelectorAll(".plane-card")];
    if (!cards.length) return;
    const bar = find(".play-bar"), key = find(".key"), planes = find(".planes");
    bar.hidden = false;
    if (data.class_names.length > 1 && Object.values(data.planes).some((plane) => plane.labels)) {
      key.hidden = false;
      data.colors.forEach((color, number) => {
        const entry = make("span", {}, key);
        make("i", {}, entry).style.background = color;
        entry.append(data.class_names[number] ?? String(number));
      });
    }
    cards.forEach(openPlane);
    find(".middle", bar).addEventListener("click", () => rungs.forEach((rung) => {
      rung.x = rung.y = 0;
      showPoint(rung, false);
    }));
    find(".decoded", bar).addEventListener("change", (event) => planes.classList.toggle("plain", !event.target.checked));
  }

  // Codes in each other's place

  async function openTokens() {
    const desk = find(".tokens"), tokens = data.tokens;
    if (!desk || !tokens) return;
    const strip = find(".strip", desk);
    await ready(strip);
    const [rows, columns] = tokens.grid, [high, wide] = tokens.size, positions = rows * columns;
    const step = tokens.step, state = { item: 0, place: 0, code: null };
    const changes = tokens.changes.map(({ address }) => Object.assign(new Image(), { src: address }));
    await Promise.all(changes.map(ready));
    desk.replaceChildren();
    const items = make("div", { class: "items", role: "group", "aria-label": "Pictures" }, desk);
    const parts = make("div", { class: "desk" }, desk);
    const left = make("figure", {}, parts), right = make("figure", {}, parts);
    make("figcaption", { text: "As the codes restore it; a position is chosen here." }, left);
    make("figcaption", { text: "The picture itself." }, right);
    const told = make("p", { class: "told", role: "status" }, desk);
    const layout = `grid-template:repeat(${rows},1fr)/repeat(${columns},1fr)`;
    const grid = make("div", { class: "grid", role: "grid", "aria-label": `Codes, ${rows} by ${columns}` }, null);
    left.prepend(grid);
    grid.style.cssText = `${layout};aspect-ratio:${columns * step[1]}/${rows * step[0]}`;
    const covered = `width:${wide / (columns * step[1]) * 100}%;height:${high / (rows * step[0]) * 100}%`;
    const canvas = surface(null);
    grid.append(canvas);
    canvas.style.cssText = covered;
    const original = surface(null);
    right.prepend(original);
    const cells = [];
    for (let row = 0; row < rows; row++) {
      const line = make("div", { class: "row", role: "row" }, grid);
      for (let column = 0; column < columns; column++) cells.push(make("div", { role: "gridcell" }, line));
    }
    const originals = Object.assign(new Image(), { src: tokens.originals.address });
    await ready(originals);

    function surface(parent) {
      const made = make("canvas", { width: wide, height: high, "aria-hidden": "true" }, parent);
      return made;
    }

    function paint(onto, item, place, code) {
      const pen = onto.getContext("2d");
      pen.drawImage(strip, item * wide, 0, wide, high, 0, 0, wide, high);
      const number = tokens.codes.indexOf(code);
      if (number < 0 || !changes[item] || tokens.indices[item][place] === code) return;
      const [tall, broad] = tokens.window, [top, start] = tokens.starts[place];
      pen.drawImage(changes[item], number * broad, place * tall, broad, tall, start, top, broad, tall);
    }

    const thumbs = tokens.indices.map((_, item) => {
      const button = make("button", { type: "button" }, items), picture = surface(button);
      paint(picture, item, 0, null);
      const marks = make("span", { class: "marks", "aria-hidden": "true" }, button);
      marks.style.cssText = layout;
      for (let place = 0; place < positions; place++) make("i", {}, marks);
      button.addEventListener("click", () => { state.item = item; state.code = null; show(); });
      return button;
    });
    const palette = make("div", { class: "palette", role: "radiogroup", "aria-label": "Code at the chosen position" });
    if (tokens.codes.length) desk.append(palette);
    const radios = tokens.codes.length ? [null, ...tokens.codes].map((code) => {
      const radio = make("div", { role: "radio" }, palette), picture = surface(radio);
      const name = make("span", {}, radio);
      radio.addEventListener("click", () => { state.code = code; show(); radio.focus(); });
      return { code, radio, picture, name };
    }) : [];
    palette.addEventListener("keydown", (event) => {
      const steps = arrows[event.key];
      if (!steps) return;
      event.preventDefault();
      const now = radios.findIndex(({ code }) => code === state.code);
      const next = radios[(now + steps[0] + steps[1] + radios.length) % radios.length];
      state.code = next.code;
      show();
      next.radio.focus();
    });

    const name = (place) => `row ${Math.floor(place / columns) + 1}, column ${place % columns + 1}`;

    function show() {
      const own = tokens.indices[state.item], code = own[state.place];
      if (state.code === code) state.code = null;
      paint(canvas, state.item, state.place, state.code);
      original.getContext("2d").drawImage(originals, state.item * wide, 0, wide, high, 0, 0, wide, high);
      cells.forEach((cell, place) => {
        const chosen = place === state.place;
        cell.tabIndex = chosen ? 0 : -1;
        cell.setAttribute("aria-selected", chosen);
        cell.setAttribute("aria-label", `${name(place)}: code ${own[place]}`);
        cell.classList.toggle("same", own[place] === code && !chosen);
        cell.classList.toggle("changed", chosen && state.code !== null);
      });
      thumbs.forEach((thumb, item) => {
        const uses = tokens.indices[item].filter((each) => each === code).length;
        thumb.setAttribute("aria-pressed", item === state.item);
        thumb.setAttribute("aria-label", `Picture ${item + 1}: code ${code} at ${uses} positions`);
        thumb.querySelectorAll("i").forEach((mark, place) =>
          mark.classList.toggle("same", tokens.indices[item][place] === code));
      });
      palette.hidden = !changes[state.item];
      radios.forEach((each) => {
        const number = each.code === null ? code : each.code;
        paint(each.picture, state.item, state.place, each.code);
        each.name.textContent = each.code === null ? `as it is: ${number}` : String(number);
        each.radio.tabIndex = each.code === state.code ? 0 : -1;
        each.radio.setAttribute("aria-checked", each.code === state.code);
        each.radio.setAttribute("aria-label", each.code === null ? `Code ${number}, as it is` : `Code ${number}`);
      });
      const count = tokens.counts[code] ?? 0, all = tokens.items * positions;
      const here = own.filter((each) => each === code).length;
      const change = state.code === null ? "" : ` Replaced by code ${state.code}.`;
      told.textContent = `Picture ${state.item + 1}, ${name(state.place)}: code ${code}, at ${here} of the ${positions} ` +
        `positions here, and at ${count.toLocaleString("en")} of ${all.toLocaleString("en")} ` +
        `(${(100 * count / all).toFixed(1)} %) of ${tokens.items.toLocaleString("en")} held-out ${data.noun}.${change}`;
    }

    function choose(place) {
      state.place = place;
      state.code = null;
      show();
      cells[place].focus();
    }

    cells.forEach((cell, place) => cell.addEventListener("click", () => choose(place)));
    grid.addEventListener("keydown", (event) => {
      const steps = arrows[event.key];
      if (!steps) return;
      event.preventDefault();
      const row = clamp(Math.floor(state.place / columns) + steps[1], 0, rows - 1);
      choose(row * columns + clamp(state.place % columns + steps[0], 0, columns - 1));
    });
    state.place = Math.floor(rows / 2) * columns + Math.floor(columns / 2);
    show();
  }

  // A slider over beta

  function openBetas() {
    const box = find(".beta");
    if (!box || !data.betas) return;
    const variants = [...new Set(data.betas.map((entry) => entry.variant))];
    const choice = find(".variant", box), slide = find("input", box), told = find(".told", box), rows = find(".rows", box);
    box.hidden = false;
    variants.forEach((variant) => make("option", { text: variant, value: variant }, choice));
    choice.closest("label").hidden = variants.length < 2;
    const images = Object.entries({ originals: "original", reconstructions: "restored", samples: "sampled" })
      .map(([part, label]) => {
        make("span", { text: label }, rows);
        return { part, label, image: make("img", { alt: "" }, make("div", { class: "row" }, rows)) };
      });
    const of = () => data.betas.filter((entry) => entry.variant === choice.value);

    function show() {
      const entries = of(), entry = entries[clamp(Number(slide.value), 0, entries.length - 1)];
      slide.setAttribute("aria-valuetext", `beta ${entry.beta}`);
      told.textContent = `Beta ${entry.beta}, ${entry.variant}: ${entry.told}`;
      for (const { part, label, image } of images) {
        image.src = entry[part] ?? data[part];
        image.alt = `Pictures ${label}, beta ${entry.beta}`;
      }
    }

    function restart() {
      const before = slide.dataset.beta, entries = of();
      slide.max = entries.length - 1;
      const same = entries.findIndex((entry) => String(entry.beta) === before);
      slide.value = same < 0 ? 0 : same;
      show();
    }

    slide.addEventListener("input", () => { show(); slide.dataset.beta = of()[Number(slide.value)].beta; });
    choice.addEventListener("change", restart);
    restart();
  }

  openPlanes();
  openTokens();
  openBetas();
})();
