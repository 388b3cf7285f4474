// The script of code_map.py: `element`, `props`, `trigger` and `watch` are given by gradio.
const state = { at: 0 };
const canvas = () => element.querySelector("canvas.vq-map");
const told = () => element.querySelector(".vq-map-told");
const MARGIN = 18;

function spots() {
  const box = canvas(), width = box.clientWidth, height = box.clientHeight;
  return props.value.places.map(([x, y]) =>
    [MARGIN + x * (width - 2 * MARGIN), MARGIN + (1 - y) * (height - 2 * MARGIN)]);
}

function draw() {
  const surface = canvas();
  if (!surface) return;
  surface.style.display = props.value ? "block" : "none";
  if (!props.value) { told().textContent = ""; return; }
  const { counts } = props.value, width = surface.clientWidth, ratio = window.devicePixelRatio || 1;
  surface.style.height = `${Math.min(width * 0.75, 460)}px`;
  surface.width = Math.round(width * ratio);
  surface.height = Math.round(surface.clientHeight * ratio);
  surface.setAttribute("aria-label", `${props.map_label}: ${counts.length} codes; arrow keys move, Enter chooses`);
  const pen = surface.getContext("2d"), most = Math.max(1, ...counts), dark = document.body.classList.contains("dark");
  pen.scale(ratio, ratio);
  const places = spots();
  places.forEach(([x, y], code) => {
    if (counts[code]) {
      pen.beginPath();
      pen.arc(x, y, 2.5 + 9 * Math.sqrt(counts[code] / most), 0, 2 * Math.PI);
      pen.fillStyle = dark ? "rgba(96, 165, 250, 0.55)" : "rgba(37, 99, 235, 0.5)";
      pen.fill();
      pen.lineWidth = 1; pen.strokeStyle = dark ? "#bfdbfe" : "#1e3a8a"; pen.stroke();
    } else {
      pen.lineWidth = 2; pen.strokeStyle = dark ? "#fca5a5" : "#b91c1c";
      pen.beginPath();
      pen.moveTo(x - 4, y - 4); pen.lineTo(x + 4, y + 4); pen.moveTo(x - 4, y + 4); pen.lineTo(x + 4, y - 4);
      pen.stroke();
    }
  });
  const [x, y] = places[state.at];
  pen.beginPath(); pen.arc(x, y, 13, 0, 2 * Math.PI);
  pen.lineWidth = 3; pen.strokeStyle = dark ? "#fbbf24" : "#b45309"; pen.stroke();
  const count = counts[state.at];
  const text = `code ${state.at}: ${count ? `${count.toLocaleString("en")} times` : "dead (0 times)"}`;
  if (told().textContent !== text) told().textContent = text;
}

function choose() { trigger("select", { index: state.at, value: props.value.counts[state.at], selected: true }); }

element.addEventListener("click", (event) => {
  if (event.target !== canvas() || !props.value) return;
  const box = canvas().getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  let best = Infinity;
  spots().forEach(([a, b], code) => {
    const distance = (a - x) ** 2 + (b - y) ** 2;
    if (distance < best) { best = distance; state.at = code; }
  });
  draw();
  choose();
});
element.addEventListener("keydown", (event) => {
  if (event.target !== canvas() || !props.value) return;
  const directions = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  const wanted = directions[event.key];
  if (wanted) {
    const places = spots(), [x, y] = places[state.at];
    let best = Infinity, next = state.at;
    places.forEach(([a, b], code) => {
      const along = (a - x) * wanted[0] + (b - y) * wanted[1], aside = Math.abs((a - x) * wanted[1] + (b - y) * wanted[0]);
      const cost = along + 3 * aside;
      if (along > 0.5 && cost < best) { best = cost; next = code; }
    });
    state.at = next;
    draw();
  } else if (event.key === "Enter" || event.key === " ") choose();
  else return;
  event.preventDefault();
});
function refresh() {
  if (props.value && props.value.chosen !== null) state.at = props.value.chosen;
  if (props.value) state.at = Math.min(state.at, props.value.counts.length - 1);
  draw();
}
new ResizeObserver(draw).observe(element);
watch("value", refresh);
refresh();
