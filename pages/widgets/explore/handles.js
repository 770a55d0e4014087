// Bars over the blocks that can be dragged, one at a time or across several. The page is told when a drag ends or the keys rest; until then the bars
// and the overall sparsity move here alone. Only numbers come in, and all words are set as text.
const HIGHEST = 0.99, REST = 350 /* ms */, ROOM = 30 /* px a bar needs for its number */;
const KEYS = { ArrowUp: 0.01, ArrowDown: -0.01, PageUp: 0.1, PageDown: -0.1 };
const percent = (share, digits) => `${(100 * share).toFixed(digits)}\u00a0%`;
const round = (ratio) => Math.round(100 * Math.min(HIGHEST, Math.max(0, ratio))) / 100;
const part = (name, parent) => Object.assign(parent.appendChild(document.createElement("div")), { className: name });

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".handles");
  root.editor ??= build(root);
  root.editor.show(data, (ratios) => setTriggerValue("ratios", ratios));
}

function build(root) {
  const frame = part("frame", root), said = part("said", root);
  for (const level of [0, 25, 50, 75, 100]) {
    const line = part("level", frame);
    line.style.bottom = `${level}%`;
    line.dataset.label = `${level}\u00a0%`;
  }
  const bars = part("bars", frame), target = part("target", frame);
  const overall = said.appendChild(document.createElement("span")), block = said.appendChild(document.createElement("span"));
  overall.setAttribute("role", "status");
  let data, tell, ratios = [], held = null, resting = null;

  const draw = () => {
    const roomy = bars.clientWidth / ratios.length >= ROOM;
    const step = [1, 2, 4, 5, 10, 20, 50].find((step) => (bars.clientWidth * step) / ratios.length >= 22) ?? 100;
    [...bars.children].forEach((bar, index) => {
      const [fill, value, name] = bar.children;
      fill.style.height = `${100 * ratios[index]}%`;
      value.style.bottom = `${100 * ratios[index]}%`;
      value.textContent = roomy ? Math.round(100 * ratios[index]) : "";
      name.textContent = index % step ? "" : index;
      bar.setAttribute("aria-valuenow", (100 * ratios[index]).toFixed(1));
      bar.setAttribute("aria-valuetext", percent(ratios[index], 1));
    });
    target.style.bottom = `${100 * data.target}%`;
    const weights = data.sizes.reduce((sum, size) => sum + size, 0);
    const mean = ratios.reduce((sum, ratio, index) => sum + ratio * data.sizes[index], 0) / weights;
    const off = mean - data.target;
    overall.textContent = `Overall ${percent(mean, 1)}: `;
    overall.append(Math.abs(off) <= data.tolerance ? "on target" : `${Math.abs(100 * off).toFixed(1)} points ${off > 0 ? "above" : "below"} the target`);
  };
  const point = (index) => (block.textContent = index === null ? "" : `Block ${index}: ${percent(ratios[index], 1)}`);
  const rest = (delay) => {
    clearTimeout(resting);
    resting = setTimeout(() => { resting = null; tell(ratios); }, delay);
  };
  const at = (event) => {
    const box = bars.getBoundingClientRect();
    const index = Math.floor(((event.clientX - box.left) / box.width) * ratios.length);
    return { index: Math.min(ratios.length - 1, Math.max(0, index)), ratio: round(1 - (event.clientY - box.top) / box.height) };
  };
  const paint = (to) => {  // a quick pointer skips bars: those between get what lies between
    const from = held ?? to, steps = Math.max(1, Math.abs(to.index - from.index));
    for (let step = 1; step <= steps; step++) {
      const way = step / steps;
      ratios[Math.round(from.index + way * (to.index - from.index))] = round(from.ratio + way * (to.ratio - from.ratio));
    }
    held = to;
    draw();
    point(to.index);
  };
  const focus = (index) => {
    [...bars.children].forEach((bar, other) => (bar.tabIndex = other === index ? 0 : -1));
    bars.children[index].focus({ preventScroll: true });
    point(index);
  };

  bars.onpointerdown = (event) => {
    event.preventDefault();
    bars.setPointerCapture(event.pointerId);
    paint(at(event));
  };
  bars.onpointermove = (event) => (held ? paint(at(event)) : point(at(event).index));
  bars.onpointerup = bars.onpointercancel = () => {
    if (!held) return;
    focus(held.index);
    held = null;
    rest(0);
  };
  bars.onpointerleave = () => held || point(null);
  bars.onkeydown = (event) => {
    const index = [...bars.children].indexOf(event.target);
    const sideways = { ArrowLeft: index - 1, ArrowRight: index + 1 }[event.key];
    const ratio = { Home: 0, End: HIGHEST }[event.key] ?? (event.key in KEYS ? ratios[index] + KEYS[event.key] : undefined);
    if (sideways === undefined && ratio === undefined) return;
    event.preventDefault();
    if (sideways !== undefined) return focus(Math.min(ratios.length - 1, Math.max(0, sideways)));
    ratios[index] = round(ratio);
    draw();
    point(index);
    rest(REST);
  };
  new ResizeObserver(() => data && draw()).observe(bars);

  const show = (given, teller) => {
    data = given;
    tell = teller;
    if (held || resting !== null) return;  // a person is at it: what comes is older
    ratios = [...data.ratios];
    if (bars.children.length !== ratios.length) bars.replaceChildren(...ratios.map(handle));
    [...bars.children].forEach((bar, index) => {
      const ghost = bar.children[3];
      ghost.hidden = !data.ghost;
      if (data.ghost) ghost.style.bottom = `${100 * data.ghost[index]}%`;
    });
    draw();
  };
  return { show };
}

function handle(_, index) {
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.tabIndex = index ? -1 : 0;
  const words = { role: "slider", "aria-label": `Block ${index}`, "aria-orientation": "vertical", "aria-valuemin": "0", "aria-valuemax": "99" };
  for (const [name, value] of Object.entries(words)) bar.setAttribute(name, value);
  for (const name of ["fill", "value", "name", "ghost"]) part(name, bar);
  return bar;
}
