// The toy of the page Learn: a surface L_M, five paths on it, and their start, which is dragged.
//
// All is computed beforehand: a surface is its minimum and its curvature, so its levels are
// ellipses; paths are known from every start of a grid. Between those starts, while the handle is
// held or moves, what is drawn is the blend of the four around it. Let go, it settles on one.
const NS = "http://www.w3.org/2000/svg";
const [LEFT, TOP, SIZE] = [40, 8, 552];
const RING = 0.125; // levels are (k · RING)²: rings about as far from each other everywhere
const LINES = 16;
const MOST = 3.2; // the length of the bars: always the same, so that they can be compared
const VIRIDIS = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const DASHES = { solid: "", dot: "0.1 7.5", dash: "10 7", dashdot: "10 6 0.1 6" };
const SYMBOLS = {
  circle: "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0z",
  cross: "M-2.4-7h4.8v4.6h4.6v4.8h-4.6v4.6h-4.8v-4.6h-4.6v-4.8h4.6z",
  square: "M-5.6-5.6h11.2v11.2h-11.2z",
  diamond: "M0-8l7 8-7 8-7-8z",
  "triangle-up": "M0-7.6l7.4 13h-14.8z",
};
const STAR = `M${[...Array(10)].map((_, i) => [(i % 2 ? 6.4 : 16) * Math.sin((i * Math.PI) / 5), (i % 2 ? -6.4 : -16) * Math.cos((i * Math.PI) / 5)].map((v) => v.toFixed(2))).join("L")}z`;

const px = ([x, y]) => [LEFT + ((x + 1) / 2) * SIZE, TOP + ((1 - y) / 2) * SIZE];
const number = (value) => value.toFixed(3).replace(/\.?0+$/, "").replace(/^-0$/, "0").replace("-", "−");
const lerp = (a, b, t) => a.map((value, i) => value + (b[i] - value) * t);
const below = (steps) => `L<sub>${steps}</sub>`;

function color(share) {
  const place = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const at = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const [a, b] = [at, at + 1].map((i) => VIRIDIS[i].match(/\w\w/g).map((hex) => parseInt(hex, 16)));
  return `rgb(${lerp(a, b, place - at).map(Math.round)})`;
}

function make(parent, name, attributes = {}, text = "") {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

// Positions (method, M, draw, y, x, update, 2), of which the changes along y and x are sent.
async function unpacked({ packed, shape }) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const found = new Int16Array(await new Response(stream).arrayBuffer());
  const row = shape[5] * shape[6];
  const sheet = row * shape[4] * shape[3];
  for (let i = 0; i < found.length; i++)
    if (i % sheet >= row * shape[4]) found[i] += found[i - row * shape[4]];
  for (let i = 0; i < found.length; i++) if (i % (row * shape[4]) >= row) found[i] += found[i - row];
  return found;
}

class Toy {
  constructor(root, data, paths, keep) {
    Object.assign(this, { root, data, paths, keep, asked: { ...data.view } });
    this.find = (name) => root.querySelector(name);
    this.build();
    this.listen();
    this.go(0);
  }

  // --- what there is to draw ---

  path(method, m, draw, [x, y]) {
    const { shape, unit } = this.data;
    const count = shape[4];
    const [fx, fy] = [x, y].map((v) => ((v + 1) / 2) * (count - 1));
    const [ix, iy] = [fx, fy].map((v) => Math.min(Math.floor(v + 1e-9), count - 2));
    const [tx, ty] = [fx - ix, fy - iy];
    const row = shape[5] * shape[6];
    const base = ((method * shape[1] + m) * shape[2] + draw) * count * count;
    const found = [];
    for (let i = 0; i < row; i++) {
      const at = (dy, dx) => this.paths[(base + (iy + dy) * count + ix + dx) * row + i];
      const low = at(0, 0) + (at(0, 1) - at(0, 0)) * tx;
      const high = at(1, 0) + (at(1, 1) - at(1, 0)) * tx;
      found.push((low + (high - low) * ty) * unit);
    }
    return found;
  }

  // What is on the screen as one row of numbers, so that anything may turn into anything else.
  state({ m, draw, start }) {
    const { minimum, curvature } = this.data.surfaces[m];
    const paths = this.data.methods.map((_, i) => this.path(i, m, draw, start));
    return [...start, ...minimum, ...curvature.flat(), ...paths.flat()];
  }

  excess([x, y], surface) {
    const { minimum, curvature } = surface;
    const [dx, dy] = [x - minimum[0], y - minimum[1]];
    return (curvature[0][0] * dx * dx + 2 * curvature[0][1] * dx * dy + curvature[1][1] * dy * dy) / 2;
  }

  // --- drawing ---

  build() {
    const { methods, surfaces, trail, steps } = this.data;
    for (const name of [".rings", ".axes", ".marks", ".paths", ".names", ".choices", "tbody"]) this.find(name).replaceChildren();
    for (let k = LINES; k > 0; k--)
      make(this.find(".rings"), "circle", { r: k * RING, fill: color((k - 0.5) / LINES) });
    const axes = this.find(".axes");
    for (const value of [-1, -0.5, 0, 0.5, 1]) {
      const [x, y] = px([value, value]);
      make(axes, "path", { d: `M${x} ${TOP + SIZE}v5M${LEFT} ${y}h-5` });
      make(axes, "text", { x, y: TOP + SIZE + 19, "text-anchor": "middle" }, number(value));
      make(axes, "text", { x: LEFT - 9, y: y + 4, "text-anchor": "end" }, number(value));
    }
    make(axes, "text", { x: LEFT + 0.625 * SIZE, y: TOP + SIZE + 24, class: "name", "text-anchor": "middle" }, "α₁");
    make(axes, "text", { x: 12, y: TOP + 0.39 * SIZE, class: "name", "text-anchor": "middle" }, "α₂");
    this.find(".trail").setAttribute("d", `M${trail.map((point) => px(point).join(" ")).join("L")}`);
    const marks = this.find(".marks");
    const [first, last] = [surfaces[0], surfaces.at(-1)].map(({ minimum }) => px(minimum));
    make(marks, "path", { d: SYMBOLS.square, class: "box", transform: `translate(${first})` });
    this.ball = make(marks, "circle", { r: 5, class: "ball" });
    make(marks, "path", { d: STAR, class: "star", transform: `translate(${last})` });
    const names = this.find(".names");
    make(names, "text", { x: first[0], y: first[1] - 18, "text-anchor": "middle" }, "minimum of L₀");
    make(names, "text", { x: last[0] + 6, y: last[1] + 34, "text-anchor": "middle" }, "true minimum");
    this.lines = methods.map((method) => this.line(this.find(".paths"), method));
    this.rows = methods.map((method) => this.entry(method));
    steps.forEach((value, i) => {
      const label = document.createElement("label");
      label.innerHTML = `<input type="radio" name="steps" value="${i}">M = ${value}`;
      this.find(".choices").append(label);
    });
    const stops = [...Array(21)].map((_, i) => color(i / 20));
    this.find(".bar").style.background = `linear-gradient(90deg, ${stops})`;
    for (const input of [this.find(".x"), this.find(".y")]) input.step = 2 / (this.data.shape[4] - 1);
  }

  line(parent, { color: ink, dash, symbol }) {
    const group = make(parent, "g");
    const [casing, line] = ["casing", "line"].map((name) => make(group, "path", { class: name }));
    line.setAttribute("stroke", ink);
    for (const path of [casing, line]) path.setAttribute("stroke-dasharray", DASHES[dash]);
    const dots = [...Array(this.data.shape[5] - 2)].map(() => make(group, "circle", { r: 3.4, class: "dot", fill: ink }));
    const end = make(group, "path", { d: SYMBOLS[symbol], class: "end", fill: ink });
    return { casing, line, dots, end };
  }

  entry(method) {
    const row = document.createElement("tr");
    const dash = DASHES[method.dash];
    row.innerHTML =
      `<td><svg viewBox="0 0 40 16" aria-hidden="true"><path d="M2 8H34" stroke="${method.color}" stroke-width="3" ` +
      `stroke-linecap="round" stroke-dasharray="${dash}" fill="none"/><path d="${SYMBOLS[method.symbol]}" ` +
      `transform="translate(32 8)" fill="${method.color}"/></svg>${method.label}</td>` +
      `<td></td><td></td><td><div class="gap"><b></b><span><i style="background:${method.color}"></i></span></div></td>`;
    this.find("tbody").append(row);
    return { follows: row.children[1], own: row.children[2], text: row.querySelector("b"), bar: row.querySelector("i") };
  }

  paint(state) {
    this.shown = state;
    const [sx, sy, mx, my, a, b, , d] = state;
    const surface = { minimum: [mx, my], curvature: [[a, b], [b, d]] };
    // ½ (α − minimum)ᵀ curvature (α − minimum) = r² is the circle of radius r, turned and stretched
    const [middle, spread] = [(a + d) / 2, Math.hypot((a - d) / 2, b)];
    const angle = (Math.atan2(2 * b, a - d) / 2) * (180 / Math.PI);
    const [wide, high] = [middle + spread, middle - spread].map((value) => Math.sqrt(2 / value));
    const [cx, cy] = px([mx, my]);
    const scale = SIZE / 2;
    this.find(".rings").setAttribute(
      "transform",
      `translate(${cx} ${cy}) scale(${scale} ${-scale}) rotate(${angle}) scale(${wide} ${high})`,
    );
    this.ball.setAttribute("transform", `translate(${cx} ${cy})`);
    this.find(".handle").setAttribute("transform", `translate(${px([sx, sy])})`);
    const row = this.data.shape[5] * 2;
    this.lines.forEach(({ casing, line, dots, end }, i) => {
      const from = 8 + i * row;
      const points = [];
      for (let k = 0; k < row; k += 2) points.push(px(state.slice(from + k, from + k + 2)));
      const drawn = `M${points.map((point) => point.map((v) => v.toFixed(1)).join(" ")).join("L")}`;
      casing.setAttribute("d", drawn);
      line.setAttribute("d", drawn);
      dots.forEach((dot, k) => {
        dot.setAttribute("cx", points[k + 1][0]);
        dot.setAttribute("cy", points[k + 1][1]);
      });
      end.setAttribute("transform", `translate(${points.at(-1)})`);
      const last = state.slice(from + row - 2, from + row);
      const left = this.excess(last, this.data.surfaces.at(-1));
      const { own, text, bar } = this.rows[i];
      own.textContent = `+${this.excess(last, surface).toFixed(2)}`;
      text.textContent = `+${left.toFixed(2)}`;
      bar.style.width = `${Math.min((100 * left) / MOST, 100)}%`;
    });
  }

  ends(state) {
    const row = this.data.shape[5] * 2;
    return this.lines.map((_, i) => state.slice(8 + (i + 1) * row - 2, 8 + (i + 1) * row));
  }

  // --- moving ---

  // Draws what is asked for, at once or within some milliseconds.
  go(milliseconds) {
    cancelAnimationFrame(this.frame);
    const to = this.state(this.asked);
    this.words();
    if (!milliseconds || !this.shown || matchMedia("(prefers-reduced-motion: reduce)").matches) return this.paint(to);
    const from = this.shown;
    const begin = performance.now();
    const next = (now) => {
      const t = Math.min(Math.max((now - begin) / milliseconds, 0), 1);
      this.paint(t < 1 ? lerp(from, to, t * t * (3 - 2 * t)) : to);
      if (t < 1) this.frame = requestAnimationFrame(next);
    };
    this.frame = requestAnimationFrame(next);
  }

  words() {
    const { m, draw, start } = this.asked;
    const { steps, methods, draws } = this.data;
    const handle = this.find(".handle");
    handle.setAttribute("aria-valuemin", -1);
    handle.setAttribute("aria-valuemax", 1);
    handle.setAttribute("aria-valuenow", start[0]);
    handle.setAttribute("aria-valuetext", `α₁ ${number(start[0])}, α₂ ${number(start[1])}`);
    this.find(`input[value="${m}"]`).checked = true;
    [".x", ".y"].forEach((name, i) => {
      const input = this.find(name);
      if (this.root.getRootNode().activeElement !== input) input.value = Math.round(start[i] * 1000) / 1000;
    });
    methods.forEach(({ slope, asks }, i) => {
      this.rows[i].follows.innerHTML = asks ? `${asks} values of ${below(steps[m])}` : `gradient of ${below(slope)}`;
    });
    this.find(".own").innerHTML = `${below(steps[m])}`;
    this.find("caption").textContent = `After 10 updates, above the lowest value · draw ${draw + 1} of ${draws}`;
    this.find(".ticks").innerHTML =
      `<span>${below(steps[m])} above its minimum: 0</span><span>0.25</span><span>1</span><span>2.25</span><span>4</span>`;
  }

  // Settles on the nearest start that was computed, and tells the page.
  settle(milliseconds = 140) {
    const half = (this.data.shape[4] - 1) / 2;
    this.asked.start = this.asked.start.map((v) => Math.round(Math.min(Math.max(v, -1), 1) * half) / half);
    this.go(milliseconds);
    const { m, draw, start } = this.asked;
    const told = JSON.stringify(this.asked);
    if (told === this.told) return;
    this.told = told;
    const ends = this.ends(this.state(this.asked)).map((end) => this.excess(end, this.data.surfaces.at(-1)));
    const each = this.data.methods.map(({ label }, i) => `${label} ${ends[i].toFixed(2)}`).join(", ");
    this.find(".said").textContent = `M = ${this.data.steps[m]}. True loss at the ends, above its minimum: ${each}.`;
    this.keep({ m: this.data.steps[m], draw, start });
  }

  listen() {
    const picture = this.find(".picture");
    const handle = this.find(".handle");
    const held = (on) => this.root.classList.toggle("held", on);
    const to = ({ clientX, clientY }) => {
      const box = picture.getBoundingClientRect();
      const [x, y] = [clientX - box.left, clientY - box.top].map((v) => (v * 600) / box.width);
      const clamp = (v) => Math.min(Math.max(v, -1), 1);
      this.asked.start = [clamp(((x - LEFT) / SIZE) * 2 - 1), clamp(1 - ((y - TOP) / SIZE) * 2)];
      this.root.classList.add("moved");
    };
    picture.onpointerdown = (event) => {
      // A finger beside the handle may be about to scroll the page: its tap is a click, below.
      if (event.button || (event.pointerType === "touch" && !handle.contains(event.target))) return;
      event.preventDefault();
      this.root.classList.add("mouse"); // a ring of focus is for keys
      handle.focus({ preventScroll: true });
      picture.setPointerCapture(event.pointerId);
      held(true);
      to(event);
      this.go(handle.contains(event.target) ? 0 : 120);
      picture.onpointermove = (move) => {
        to(move);
        this.go(0);
      };
      picture.onpointerup = picture.onpointercancel = () => {
        picture.onpointermove = picture.onpointerup = picture.onpointercancel = null;
        held(false);
        this.settle();
      };
    };
    picture.onclick = (event) => {
      if (event.pointerType !== "touch") return;
      to(event);
      this.settle(200);
    };
    const step = 2 / (this.data.shape[4] - 1);
    const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    handle.onkeydown = (event) => {
      this.root.classList.remove("mouse");
      const move = keys[event.key];
      if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      const by = step * (event.shiftKey ? 4 : 1);
      this.asked.start = this.asked.start.map((v, i) => v + by * move[i]);
      this.root.classList.add("moved");
      this.settle(90);
    };
    [".x", ".y"].forEach((name, i) => {
      this.find(name).onchange = ({ target }) => {
        const value = Number.parseFloat(target.value);
        if (Number.isFinite(value)) this.asked.start[i] = value;
        target.blur();
        this.settle(200);
      };
    });
    this.find(".choices").onchange = ({ target }) => {
      this.asked.m = +target.value;
      this.settle(450);
    };
    this.find(".draw").onclick = () => {
      this.asked.draw = (this.asked.draw + 1) % this.data.draws;
      this.settle(250);
    };
  }
}

export default ({ parentElement, data, setStateValue }) => {
  const root = parentElement.querySelector(".toy");
  const keep = (view) => setStateValue("view", view);
  if (root.toy) root.toy.keep = keep; // the page ran again; what is shown stays
  else if (!root.begun) {
    root.begun = true;
    unpacked(data)
      .then((paths) => (root.toy = new Toy(root, data, paths, keep)))
      .catch((error) => root.replaceChildren(`The picture needs a newer browser (${error}). Its numbers are in the table below.`));
  }
};
