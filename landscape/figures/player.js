// Plays the steps of a figure in a page: of Fig. 1 the paths up to a step, of a search its tables
// of α. `restyle` draws these and touches nothing else, so surfaces, zoom, camera and legend stay;
// Plotly's own `animate` drops what it cannot animate.
//
// root: what holds a button, a slider and an output. find: gives the chart, which may come later
// and may be replaced. shown: the step to begin with, marked points, and the path that stands out,
// drawn by `restyle` as well. picked: told of a click. moved: told of the step that was gone to.
// Returns what ends the player.
function player(root, find, shown = {}, picked = undefined, moved = undefined) {
  root.end?.(); // of a former call
  const [box, button, slider, said] = ["", " button", " input", " output"].map((name) =>
    root.querySelector(`.player${name}`),
  );
  let chart, known, width, timer;

  const rest = () => {
    clearTimeout(timer);
    timer = undefined;
    button.textContent = "▶ Play";
  };

  const stop = () => {
    rest();
    arrive();
  };

  // The step is told once it is gone to, not at each that is passed.
  const arrive = () => {
    const { steps } = chart.layout.meta;
    const step = chart.frame === steps.length - 1 ? null : steps[chart.frame];
    if (step !== shown.step) moved?.((shown.step = step));
  };

  const tell = (frame) => {
    const { steps, unit = "optimizer step" } = chart.layout.meta;
    chart.frame = frame;
    slider.max = steps.length - 1;
    slider.value = frame;
    said.textContent = `${unit} ${steps[frame]}`;
    slider.setAttribute("aria-label", unit);
    slider.setAttribute("aria-valuetext", said.textContent);
  };

  const show = (frame) => {
    const { steps, paths, tables } = chart.layout.meta;
    tell(frame);
    if (tables) return window.Plotly.restyle(chart, { z: tables[frame] }, [0, 1]);
    const [x, y, z, traces] = [[], [], [], []];
    for (const path of paths) {
      const end = Math.min(steps[frame] + 1, path.x.length);
      const draw = (from, lift = () => 0) => (trace, scene) => {
        traces.push(trace);
        x.push(path.x.slice(from, end));
        y.push(path.y.slice(from, end));
        // No height is null, where the surface has a hole: it must not become a number.
        if (path.z) z.push(path.z[scene].slice(from, end).map((h) => (h === null ? h : h + lift(scene))));
      };
      path.lines.forEach(draw(0));
      path.heads.forEach(draw(end - 1, (scene) => path.lift?.[scene] ?? 0));
    }
    return window.Plotly.restyle(chart, z.length ? { x, y, z } : { x, y }, traces);
  };

  const mark = () => {
    const { marks, paths = [] } = chart.layout.meta;
    const { points, line, path } = shown;
    // Each redraws the contours, which takes long: not for what is not there and was not there.
    const some = points?.x.length > 0;
    if (marks && points && (some || chart.marked)) {
      chart.marked = some;
      // Heights are those of each scene, if the surfaces are landscapes.
      const place = ({ x, y, z }) => (z ? { x: [x], y: [y], z } : { x: [x], y: [y] });
      const look = { text: [points.text], "marker.symbol": [points.symbol] };
      window.Plotly.restyle(chart, { ...place(points), ...look }, marks.points);
      window.Plotly.restyle(chart, place(line), marks.lines);
    }
    if (path === undefined || (path === null && !chart.dimmed)) return;
    chart.dimmed = path !== null;
    const [opacity, traces] = [[], []];
    for (const { method, lines, heads } of paths)
      for (const trace of [...lines, ...heads]) {
        traces.push(trace);
        opacity.push(path === null || path === method ? 1 : 0.15);
      }
    if (traces.length) window.Plotly.restyle(chart, { opacity }, traces);
  };

  // Streamlit does not tell of clicks on contours, plotly does: of the grid point below.
  const click = ({ points: [{ x, y } = {}] = [] }) => {
    if (Number.isFinite(x) && Number.isFinite(y)) picked?.({ x, y });
  };

  const play = async (frame) => {
    const last = chart.layout.meta.steps.length - 1;
    await show(frame);
    if (timer === undefined) return; // stopped while it was drawn
    if (frame === last) stop();
    else timer = setTimeout(play, Math.max(50, Math.min(450, 9000 / last)), frame + 1);
  };

  button.onclick = () => {
    if (timer !== undefined) return stop();
    button.textContent = "❚❚ Pause";
    timer = null;
    play(+slider.value < +slider.max ? +slider.value : 0);
  };
  slider.oninput = () => {
    rest();
    show(+slider.value);
  };
  slider.onchange = arrive;

  // The panels have equal units, so their height follows from their width: nothing is left empty
  // between them and what is below. All of it fits into the window if that is not too low.
  const fit = () => {
    const tall = (name) =>
      Math.max(0, ...[...chart.querySelectorAll(name)].map((e) => e.getBoundingClientRect().height));
    const { aspect, below } = chart.layout.meta;
    if (!aspect) return; // its height is its own
    const [left, right] = chart.layout.xaxis.domain ?? [0, 1];
    const above = tall(".legend") + tall(".annotation") + 16;
    let top = chart.getBoundingClientRect().top;
    for (let e = chart; e; e = e.parentElement) top += e.scrollTop;
    const room = window.innerHeight - top - above - below - box.offsetHeight - 24;
    const wanted = chart._fullLayout._size.w * (right - left) * aspect;
    const height = Math.round(above + below + Math.min(wanted, Math.max(240, room)));
    for (const holder of [chart.parentElement, chart.closest(".stElementContainer")])
      if (holder) holder.style.height = holder.style.flexBasis = `${height}px`; // for streamlit
    const free = chart.layout.width === undefined; // to follow the window: it has to stay so
    window.Plotly.relayout(chart, { height, "margin.t": above });
    if (free) delete chart.layout.width;
  };

  const look = () => {
    const found = find();
    const meta = window.Plotly && found?._fullLayout?._size && found.layout.meta;
    box.hidden = !meta || meta.steps.length < 2;
    if (!meta) return;
    if (found !== chart || meta !== known) { // also another figure in the same element
      rest();
      chart?.removeListener?.("plotly_click", click);
      [chart, known, width] = [found, meta, 0];
      mark();
      if (meta.marks) chart.on?.("plotly_click", click);
      if (meta.steps.length) begin(meta.steps);
    }
    if (chart._fullLayout.width !== width) { // the one it was drawn with, not that of the window
      width = chart._fullLayout.width;
      fit();
    }
  };

  // A new figure shows the last step.
  const begin = (steps) => {
    const last = steps.length - 1;
    const wanted = shown.step == null ? last : steps.findIndex((step) => step >= shown.step);
    const frame = chart.frame ?? (wanted < 0 ? last : wanted);
    if (frame === last || chart.frame !== undefined) tell(frame);
    else show(frame);
  };

  const watch = setInterval(look, 100);
  look();
  root.end = () => {
    clearInterval(watch);
    rest();
    chart?.removeListener?.("plotly_click", click);
  };
  return root.end;
}
