"use strict";
// Copies the command that replays a failure.
for (const button of document.querySelectorAll(".copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
  });
}

// A time as the page writes it: microseconds to 12 µs, 340 ms, 1.2 s.
const time = (us) =>
  us < 1e3 ? `${us} µs` : us < 1e6 ? `${+(us / 1e3).toPrecision(3)} ms` : `${+(us / 1e6).toPrecision(3)} s`;
const clock = (us) => `${Math.floor(us / 6e7)}:${String(Math.floor(us / 1e6) % 60).padStart(2, "0")}`;

// Maps: the slider chooses a step of time.
for (const map of document.querySelectorAll(".map")) {
  const slider = map.querySelector("input");
  const output = map.querySelector("output");
  const regions = [...map.querySelectorAll(".region")].map((region) => ({
    region,
    text: region.querySelector(".late-text"),
    late: region.dataset.late === "" ? [] : region.dataset.late.split(","),
  }));
  const ways = [...map.querySelectorAll(".way")].map((way) => ({ way, hit: new Set(way.dataset.hit.split(" ")) }));
  const heat = (us) => Math.log10(Math.min(Math.max(us, 1e4), 3e7) / 1e4) / Math.log10(3e3);
  map.querySelector(".slider").hidden = false;
  map.querySelector(".when").hidden = true;
  slider.addEventListener("input", () => {
    const step = Number(slider.value);
    output.textContent = clock(step * Number(slider.dataset.step));
    for (const { region, text, late } of regions) {
      if (late.length === 0) continue;
      region.classList.toggle("none", late[step] === "");
      region.style.setProperty("--h", late[step] === "" ? 0 : heat(Number(late[step])));
      text.textContent = late[step] === "" ? "no updates" : time(Number(late[step]));
    }
    for (const { way, hit } of ways) way.classList.toggle("hit", hit.has(slider.value));
  });
}

// Space-time diagrams: what is drawn is moved to where the window onto time wants it.
const SVG = "http://www.w3.org/2000/svg";
const NARROWEST_US = 20_000;
const LABEL_ROOM_PX = 46;
const CHAR_PX = 5.8;

function spacetime(box) {
  const view = box.querySelector(".view");
  const svg = view.querySelector("svg");
  const axis = svg.querySelector(".axis");
  const labels = svg.querySelector(".labels");
  const now = box.querySelector(".now");
  const rows = [...box.parentElement.querySelectorAll(".events tbody tr")];
  const end = Number(box.dataset.end);
  const moved = [...svg.querySelectorAll("[data-a]")].map((element) => ({
    element,
    kind: element.tagName,
    a: Number(element.dataset.a),
    b: Number(element.dataset.b ?? element.dataset.a),
  }));
  const marks = moved.filter(({ kind }) => kind === "circle");
  const lanes = Map.groupBy ? Map.groupBy(marks, (mark) => mark.element.getAttribute("cy")) : new Map([["", marks]]);
  let [from, to] = [0, end];
  let here = -1;
  let width = 1;

  const x = (us) => ((us - from) / (to - from)) * width;
  function draw() {
    width = Math.max(view.clientWidth, 100);
    svg.setAttribute("width", width);
    for (const { element, kind, a, b } of moved) {
      const [left, right] = [x(a), x(b)];
      element.style.display = right < -20 || left > width + 20 ? "none" : "";
      if (kind === "rect") {
        const start = Math.max(left, -20);
        element.setAttribute("x", start);
        element.setAttribute("width", Math.max(Math.min(right, width + 20) - start, 2));
      } else if (kind === "line") {
        element.setAttribute("x1", left);
        element.setAttribute("x2", right);
      } else if (kind === "circle") {
        element.setAttribute("cx", left);
      } else {
        element.style.display = left > width ? "none" : "";
        element.setAttribute("x", Math.max(left + 4, 4));
      }
    }
    drawAxis();
    drawLabels();
  }
  function drawAxis() {
    const raw = ((to - from) / width) * 90;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
    const digits = Math.max(0, 6 - Math.floor(Math.log10(step) + 1e-9));
    axis.replaceChildren();
    for (let at = Math.ceil(from / step) * step; at <= to && x(at) < width - 30; at += step) {
      const text = document.createElementNS(SVG, "text");
      text.setAttribute("class", "tick");
      text.setAttribute("x", x(at) + 3);
      text.setAttribute("y", 11);
      text.textContent = `${(at / 1e6).toFixed(digits)} s`;
      axis.append(text);
    }
  }
  // As much of each event's text as fits before the next one of its lane.
  function drawLabels() {
    labels.replaceChildren();
    for (const lane of lanes.values()) {
      const shown = lane.filter(({ a }) => a >= from && a <= to);
      shown.forEach(({ element, a }, index) => {
        const room = (index + 1 < shown.length ? x(shown[index + 1].a) : width) - x(a);
        if (room < LABEL_ROOM_PX) return;
        const words = rows[Number(element.dataset.i)].lastElementChild.textContent;
        const fits = Math.floor(room / CHAR_PX);
        const text = document.createElementNS(SVG, "text");
        text.setAttribute("class", "label");
        text.setAttribute("x", x(a) + 5);
        text.setAttribute("y", Number(element.getAttribute("cy")) - 9);
        text.textContent = words.length > fits ? `${words.slice(0, fits - 1)}…` : words;
        labels.append(text);
      });
    }
  }
  function look(newFrom, newTo) {
    const length = Math.min(Math.max(newTo - newFrom, NARROWEST_US), end);
    from = Math.min(Math.max(newFrom, 0), end - length);
    to = from + length;
    draw();
  }
  const zoom = (factor, at = (from + to) / 2) => look(at - (at - from) * factor, at + (to - at) * factor);
  const move = (part) => look(from + (to - from) * part, to + (to - from) * part);
  // Goes to an event: it is marked, told, and in the middle if it was outside.
  function go(index, follow = true) {
    if (rows.length === 0) return;
    rows[here]?.classList.remove("here");
    marks[here]?.element.classList.remove("here");
    here = (index + rows.length) % rows.length;
    const { element, a } = marks[here];
    element.classList.add("here");
    rows[here].classList.add("here");
    now.textContent = [...rows[here].children].map((cell) => cell.textContent).join(" · ");
    if (follow) {
      const list = rows[here].closest(".events");
      list.scrollTop = rows[here].offsetTop - list.clientHeight / 2;
    }
    if (a < from || a > to) look(a - (to - from) / 2, a + (to - from) / 2);
  }
  const actions = {
    in: () => zoom(0.5, here >= 0 ? Math.min(Math.max(marks[here].a, from), to) : undefined),
    out: () => zoom(2),
    all: () => look(0, end),
    left: () => move(-0.4),
    right: () => move(0.4),
    next: () => go(here + 1),
    previous: () => go(here < 0 ? rows.length - 1 : here - 1),
  };
  box.querySelector(".controls").hidden = false;
  box.querySelector(".controls").addEventListener("click", (event) => actions[event.target.dataset.do]?.());
  const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", n: "next", p: "previous", 0: "all" };
  view.addEventListener("keydown", (event) => {
    const action = keys[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[action]();
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.25 : 0.8, from + ((to - from) * event.offsetX) / width);
    else move(event.deltaX / width);
  }, { passive: false });
  let grabbed = null;
  view.addEventListener("pointerdown", (event) => (grabbed = { x: event.clientX, from, to }));
  view.addEventListener("pointermove", (event) => {
    if (!grabbed || event.buttons === 0) return (grabbed = null);
    const shift = ((grabbed.x - event.clientX) / width) * (grabbed.to - grabbed.from);
    if (shift !== 0) look(grabbed.from + shift, grabbed.to + shift);
  });
  svg.addEventListener("click", (event) => {
    const index = event.target.dataset?.i;
    if (index !== undefined) go(Number(index));
  });
  box.parentElement.querySelector(".events").addEventListener("click", (event) => {
    const row = event.target.closest(".at")?.closest("tr");
    if (!row) return;
    const { a } = marks[Number(row.dataset.i)];
    const length = Math.min(to - from, end / 8);
    look(a - length / 2, a + length / 2);
    go(Number(row.dataset.i), false);
  });
  view.classList.add("live");
  new ResizeObserver(draw).observe(view);
}
document.querySelectorAll(".spacetime").forEach(spacetime);
