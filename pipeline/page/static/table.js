// The memo table as a row or a grid: a cell for each subproblem, filled as the DAG runs or bottom-up.

class Table {
  constructor({ root, sides, right, more }, { cells, path, notes }) {
    Object.assign(this, { sides, right, cells, path, notes, pointed: null, element: find(root, "[data-grid]") });
    this.nodes = all(this.element, "[data-cell]"); // row by row, as the cells are
    this.nodes.forEach((node, number) => {
      const of = right.data.boxes[cells[number].box]?.of;
      if (of === undefined) return; // its box is folded away
      node.dataset.of = of;
      node.style.setProperty("--hue", more.subproblems[of].hue);
    });
    this.element.addEventListener("pointerover", ({ target }) => { this.point(this.nodes.indexOf(target)); this.reveal(target.dataset.of); });
    this.element.addEventListener("pointerout", () => { this.point(-1); this.reveal(); });
    root.addEventListener("light", ({ detail }) => this.point(this.nodes.findIndex(({ dataset }) => dataset.of === String(detail))));
    find(this.element, "label").hidden = notes.run === notes.loop;
    this.element.addEventListener("change", () => this.go());
    new ResizeObserver(() => this.draw()).observe(find(this.element, "table"));
  }

  point(number) {
    this.pointed = number < 0 ? null : number;
    this.draw();
  }

  // Bring a subproblem into both pictures; without one, the box of the step.
  reveal(of) {
    if (!of && this.element.closest(".pinned")) return;
    for (const side of this.sides) {
      const number = side.data.boxes.findIndex((box) => String(box.of) === of);
      side.view.follow(side.nodes[number] ?? side.place);
    }
  }

  // A cell has its rank in an order, and the frame after which it is filled. What a store loaded has neither.
  go() {
    const { frame } = this.right;
    const order = find(this.element, "input").checked ? "loop" : "run";
    let last = -1;
    this.isOver = true;
    this.nodes.forEach((node, number) => {
      const { value, [order]: turn } = this.cells[number];
      const isDone = turn ? turn[1] < frame : value !== null;
      node.textContent = isDone ? value : "";
      node.dataset.rank = turn ? turn[0] + 1 : "";
      node.classList.toggle("done", isDone);
      if (isDone && turn && turn[0] >= (this.cells[last]?.[order][0] ?? 0)) last = number;
      this.isOver &&= isDone;
    });
    this.now = this.cells[last]?.[order][1] === frame - 1 ? last : null;
    this.element.classList.toggle("loop", order === "loop");
    find(this.element, "[data-order]").textContent = this.notes[order] + (this.isOver && this.path.length ? ` ${this.notes.path}` : "");
    this.draw();
    this.follow(this.nodes[last]);
  }

  // Arrows from what the cell takes: the one that is pointed at, or the last; in the end, those of the result.
  draw() {
    const shown = this.pointed ?? this.now;
    const isPath = this.pointed === null && this.isOver && this.path.length > 0;
    const pairs = !this.element.clientWidth ? [] : isPath ? this.path : (this.cells[shown]?.takes ?? []).map((source) => [shown, source]);
    const on = new Set(pairs.flat());
    this.nodes.forEach((node, number) => {
      node.classList.toggle("now", number === this.now && !isPath);
      node.classList.toggle("same", number === this.pointed);
      node.classList.toggle("input", on.has(number) && number !== shown);
      node.classList.toggle("path", isPath && on.has(number));
    });
    find(this.element, "svg").classList.toggle("path", isPath);
    find(this.element, "path").setAttribute("d", pairs.map(([cell, source]) => this.arrow(this.nodes[source], this.nodes[cell])).join(""));
  }

  // From border to border; around the cells between, in a row or a column.
  arrow(from, to) {
    const place = ({ offsetLeft, offsetTop, offsetWidth, offsetHeight }) => [offsetLeft + offsetWidth / 2, offsetTop + offsetHeight / 2, offsetWidth / 2, offsetHeight / 2];
    const [[a, b, width, height], [x, y, end]] = [place(from), place(to)];
    const [across, down] = [to.cellIndex - from.cellIndex, to.parentNode.rowIndex - from.parentNode.rowIndex];
    const bend = 14 + 6 * Math.min(Math.abs(across || down), 6);
    const [right, low] = [a + width - 5, b + height - 4];
    const far = Math.hypot(x - a, y - b);
    const [u, v] = [(x - a) / far, (y - b) / far];
    const edge = (half) => Math.min(half / Math.abs(u), height / Math.abs(v)) - 4;
    const [start, turn, stop] = !down && Math.abs(across) > 1 ? [[a, low], [(a + x) / 2, low + bend], [x, low]]
      : !across && Math.abs(down) > 1 ? [[right, b], [right + bend, (b + y) / 2], [right, y]]
        : [[a + u * edge(width), b + v * edge(width)], [a, b], [x - u * edge(end), y - v * edge(end)]];
    const angle = Math.atan2(stop[1] - turn[1], stop[0] - turn[0]);
    const [one, other] = [0.5, -0.5].map((by) => [stop[0] - 6 * Math.cos(angle + by), stop[1] - 6 * Math.sin(angle + by)]);
    return `M${start}Q${turn} ${stop}M${one}L${stop}L${other}`;
  }

  follow(node) {
    const box = find(this.element, ".table");
    if (node) box.scrollTo({ left: node.offsetLeft - box.clientWidth / 2, top: node.offsetTop - box.clientHeight / 2, behavior: "instant" });
  }
}
