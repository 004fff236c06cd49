"use strict";
// Charts, drawn as SVG in the width that there is. Texts come from Python; here they are placed.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const LETTER = 6.7; // the width of a digit at 12 px, with room to spare
  const APART = 14; // least distance of markers, in pixels
  const TOP = 30, BOTTOM = 44, RIGHT = 18;

  const make = (parent, name, attributes, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };

  const superscript = (number) =>
    String(number).replace(/./g, (each) => ("0123456789".includes(each) ? "⁰¹²³⁴⁵⁶⁷⁸⁹"[each] : "⁻"));

  // The least of 1, 2, 5, 10, … with which at most so many steps span a length.
  const stepOf = (length, most) => {
    const power = 10 ** Math.floor(Math.log10(length / most || 1));
    return [1, 2, 5, 10].map((each) => each * power).find((each) => length / each <= most + 1e-9);
  };

  const multiples = (low, high, step) => {
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) found.push(n * step + 0); // no -0
    return found;
  };

  const axisY = (values, log) => {
    const most = Math.max(...values);
    if (!log) {
      const step = stepOf(most || 1, 5);
      const high = Math.max(step, Math.ceil(most / step - 1e-9) * step);
      return { low: 0, high, ticks: multiples(0, high, step), say: (y) => plain(y, step) };
    }
    const least = Math.floor(Math.min(...values));
    const step = Math.max(1, stepOf(Math.max(1, Math.ceil(most - 1e-9) - least), 6));
    const low = Math.floor(least / step) * step; // the axis starts and ends at a tick
    const high = Math.max(low + step, Math.ceil(most / step - 1e-9) * step);
    return { low, high, ticks: multiples(low, high, step), say: (y) => `10${superscript(y)}` };
  };

  const plain = (number, step) =>
    number.toLocaleString("en", { maximumFractionDigits: Math.max(0, Math.ceil(-Math.log10(step))) });

  const axisX = (values, width) => {
    const low = Math.min(...values), high = Math.max(...values);
    const span = high - low || 1;
    const wide = LETTER * plain(high, 1).length + 28;
    let step = stepOf(span, Math.max(2, Math.floor(width / wide)));
    if (values.every(Number.isInteger)) step = Math.max(1, step);
    return { low, high: low + span, ticks: multiples(low, high, step), say: (x) => plain(x, step) };
  };

  const MARKERS = {
    tree: (x, y) => `M${x - 3.6},${y}a3.6,3.6 0 1,0 7.2,0a3.6,3.6 0 1,0 -7.2,0Z`,
    dag: (x, y) => `M${x - 3.3},${y - 3.3}h6.6v6.6h-6.6Z`,
    other: (x, y) => `M${x},${y - 4.4}l4.3,7.4h-8.6Z`,
    another: (x, y) => `M${x},${y - 4.8}l4.8,4.8l-4.8,4.8l-4.8,-4.8Z`,
  };

  const mark = (svg, series, points) => {
    if (series.reference) return;
    // Where points stand close, some are marked, or the markers would hide the line.
    let last = -Infinity;
    const path = points.map(([x, y]) => {
      if (x < last + APART) return "";
      last = x;
      return MARKERS[series.kind](x, y);
    });
    make(svg, "path", { d: path.join(""), class: "mark" });
  };

  const line = (svg, series, points) => {
    const group = make(svg, "g", { class: `series ${series.kind}${series.reference ? " reference" : ""}` });
    make(group, "polyline", { points: points.map((each) => each.join(",")).join(" "), class: "line" });
    mark(group, series, points);
  };

  const key = (list, all) => {
    for (const series of all) {
      const item = document.createElement("li");
      const sample = make(item, "svg", { width: 34, height: 12, "aria-hidden": "true" });
      line(sample, series, [[1, 6], [33, 6]]);
      for (const each of sample.querySelectorAll(".mark")) each.setAttribute("d", MARKERS[series.kind](17, 6));
      item.append(series.name);
      list.append(item);
    }
  };

  // The names of points stand above them, where no other name is in the way.
  const nameThem = (svg, all, place, width) => {
    const taken = [];
    for (const series of all) {
      series.names.forEach((name, n) => {
        const [x, y] = place(series.points[n]);
        const wide = name.length * LETTER;
        const left = Math.min(Math.max(x + 6, 0), width - wide);
        const box = [left, y - 20, left + wide, y - 6];
        const free = taken.every(([a, b, c, d]) => box[2] + 4 < a || c + 4 < box[0] || box[3] < b || d < box[1]);
        if (!free || all.indexOf(series) > 0) return;
        taken.push(box);
        make(svg, "text", { x: left, y: y - 8, class: "name" }, name);
      });
    }
  };

  const draw = (plot, data) => {
    const width = Math.max(220, plot.clientWidth);
    const height = Math.round(Math.min(340, Math.max(230, width * 0.52)));
    const points = data.series.flatMap((series) => series.points);
    const y = axisY(points.map((each) => each[1]), data.log);
    const left = Math.max(...y.ticks.map((each) => y.say(each).length)) * LETTER + 12;
    const x = axisX(points.map((each) => each[0]), width - left - RIGHT);
    const place = ([a, b]) => [
      left + ((a - x.low) / (x.high - x.low)) * (width - left - RIGHT),
      height - BOTTOM - ((b - y.low) / (y.high - y.low)) * (height - BOTTOM - TOP),
    ];
    plot.replaceChildren();
    const svg = make(plot, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    make(svg, "text", { x: 0, y: 14, class: "axis-title" }, data.y);
    make(svg, "text", { x: width - RIGHT + 8, y: height - 6, class: "axis-title", "text-anchor": "end" }, data.x);
    for (const each of y.ticks) {
      const at = Math.round(place([x.low, each])[1]) + 0.5; // on whole pixels a hairline is crisp
      make(svg, "line", { x1: left, x2: width - RIGHT + 8, y1: at, y2: at, class: "grid" });
      make(svg, "text", { x: left - 8, y: at + 4, class: "tick", "text-anchor": "end" }, y.say(each));
    }
    for (const each of x.ticks) {
      const at = Math.round(place([each, y.low])[0]) + 0.5;
      make(svg, "line", { x1: at, x2: at, y1: height - BOTTOM, y2: height - BOTTOM + 5, class: "stroke" });
      make(svg, "text", { x: at, y: height - BOTTOM + 19, class: "tick", "text-anchor": "middle" }, x.say(each));
    }
    const base = Math.round(height - BOTTOM) + 0.5;
    make(svg, "line", { x1: left, x2: width - RIGHT + 8, y1: base, y2: base, class: "stroke" });
    for (const series of data.series) line(svg, series, series.points.map(place));
    nameThem(svg, data.series, place, width);
    const guide = make(svg, "g", { class: "guide" });
    return { place, guide, top: TOP, base };
  };

  const start = (part) => {
    const data = JSON.parse(part.querySelector("script[type='application/json']").textContent);
    const plot = part.querySelector("[data-plot]");
    const readout = part.querySelector("[data-readout]");
    const others = data.series.filter((series) => series.kind === "other" && !series.reference);
    others.slice(1).forEach((series) => { series.kind = "another"; });
    const xs = [...new Set(data.series.flatMap((series) => series.points.map((each) => each[0])))].sort((a, b) => a - b);
    let drawn = null, chosen = null;

    const read = () => {
      drawn.guide.replaceChildren();
      readout.replaceChildren();
      if (chosen === null) return;
      const [at] = drawn.place([xs[chosen], 0]);
      make(drawn.guide, "line", { x1: at, x2: at, y1: drawn.top, y2: drawn.base });
      const texts = [""];
      for (const series of data.series) {
        const n = series.points.findIndex((each) => each[0] === xs[chosen]);
        if (n < 0) continue;
        const [cx, cy] = drawn.place(series.points[n]);
        if (!series.reference) make(drawn.guide, "circle", { cx, cy, r: 7, class: series.kind });
        const name = series.names[n] ? `${series.names[n]} · ` : "";
        texts[0] = `${name}${data.x}: ${series.heads[n]}`;
        texts.push(`${series.name}: ${series.texts[n]}`);
      }
      for (const text of texts) {
        const item = document.createElement("span");
        item.textContent = text;
        readout.append(item, " ");
      }
    };
    const choose = (n) => {
      chosen = n === null ? null : Math.max(0, Math.min(xs.length - 1, n));
      read();
    };

    plot.addEventListener("pointermove", (event) => {
      const at = event.clientX - plot.getBoundingClientRect().left;
      const distances = xs.map((each) => Math.abs(drawn.place([each, 0])[0] - at));
      choose(distances.indexOf(Math.min(...distances)));
    });
    plot.addEventListener("pointerleave", () => choose(document.activeElement === plot ? chosen : null));
    plot.addEventListener("focus", () => choose(chosen ?? xs.length - 1));
    plot.addEventListener("blur", () => choose(null));
    plot.addEventListener("keydown", (event) => {
      const now = chosen ?? xs.length - 1;
      const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: xs.length - 1, Escape: null }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      choose(next);
    });

    part.style.setProperty("--lines", data.series.length + 1);
    key(part.querySelector("[data-key]"), data.series);
    new ResizeObserver(() => {
      drawn = draw(plot, data);
      read();
    }).observe(plot);
    drawn = draw(plot, data);
  };

  document.querySelectorAll("[data-chart]").forEach(start);
})();
