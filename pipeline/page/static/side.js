// One side of a scene: its boxes, and those that are evaluated at a frame. Frame 0 is before the
// first step; a box is evaluated after the step `at`.

// Graphviz gives a node the class of its box, and an edge those of its ends: from-3 to-5.
const button = (node, number) => {
  const label = all(node, "text").map((text) => text.textContent).join(", ");
  node.dataset.box = number;
  Object.assign(node, { role: "button", ariaLabel: label, ariaPressed: false, tabIndex: -1 });
};

class Side {
  constructor(element, data, more, memory) {
    Object.assign(this, { element, data, more, memory });
    this.svg = find(element, "svg");
    this.start = find(element, "[data-note]").textContent;
    this.view = new View(find(element, "[data-view]"), this.svg);
    this.nodes = data.boxes.map((_, number) => find(this.svg, `.box-${number}`));
    this.nodes.forEach((node, number) => node && button(node, number));
    this.edges = all(this.svg, ".edge").map((edge) => [edge, ...[...edge.classList].slice(1).map((name) => Number(name.split("-")[1]))]);
    this.order = data.boxes.map((_, number) => number).filter((number) => data.boxes[number].of !== null);
    this.order.sort((one, other) => (data.boxes[one].at ?? -1) - (data.boxes[other].at ?? -1) || other - one);
    this.evaluatedAt = new Map();
    data.boxes.forEach(({ at }, number) => {
      if (at !== null) this.evaluatedAt.set(at, [...(this.evaluatedAt.get(at) ?? []), number]);
      else if (!data.now.includes(number)) this.nodes[number]?.classList.toggle("done", this.isThere(number));
    });
    this.takes = new Map(); // inputs by consumer, and the other way round
    this.feeds = new Map();
    for (const [consumer, input] of data.edges) {
      this.takes.set(consumer, [...(this.takes.get(consumer) ?? []), input]);
      this.feeds.set(input, [...(this.feeds.get(input) ?? []), consumer]);
    }
    this.frame = 0;
  }

  // What a store loaded was there before the first step.
  isThere(number) {
    return this.memory && this.data.done !== null && this.valueOf(number) !== null;
  }

  valueOf(number) {
    const { of } = this.data.boxes[number];
    return of === null ? null : this.more.subproblems[of].value;
  }

  labelOf(number) {
    const { of, tasks } = this.data.boxes[number];
    return of === null ? `${tasks} folded away` : this.more.subproblems[of].label;
  }

  isDone(number, frame = this.frame) {
    const { at } = this.data.boxes[number];
    return at === null ? this.isThere(number) : at < frame;
  }

  evaluated(frame = this.frame) {
    const tasks = frame * this.more.stride;
    return this.data.done === null ? tasks : Math.min(tasks, this.data.done);
  }

  isOver(frame = this.frame) {
    return this.data.done !== null && frame * this.more.stride >= this.data.done;
  }

  at(counted, frame = this.frame) {
    const numbers = this.data[counted];
    return frame ? numbers[Math.min(frame, numbers.length) - 1] ?? 0 : 0;
  }

  // The box of the last step, if the side has not come to its end before.
  now(frame = this.frame) {
    return frame && frame <= this.data.now.length ? this.data.now[frame - 1] : null;
  }

  go(frame) {
    const [low, high] = frame > this.frame ? [this.frame, frame] : [frame, this.frame];
    for (let step = low; step < high; step += 1) {
      for (const number of this.evaluatedAt.get(step) ?? []) {
        this.nodes[number]?.classList.toggle("done", frame > this.frame);
      }
    }
    this.nodes[this.now()]?.classList.remove("now");
    this.frame = frame;
    this.nodes[this.now()]?.classList.add("now");
    this.report();
  }

  report() {
    const written = (number) => number.toLocaleString("en");
    const texts = { evaluated: `${written(this.evaluated())} of ${this.data.total}`, hits: written(this.at("hits")), work: written(this.at("work")) };
    for (const [what, text] of Object.entries(texts)) find(this.element, `[data-${what}]`)?.replaceChildren(text);
    const part = this.data.count ? this.evaluated() / this.data.count : 0;
    find(this.element, ".track i").style.width = `${100 * (this.isOver() ? 1 : part)}%`;
  }

  // The last step in words.
  sentence() {
    const number = this.now();
    if (!this.frame && !this.isOver()) return this.start;
    if (this.isOver(this.frame - 1)) return "Done.";
    if (number === null || this.data.boxes[number].of === null) return "In what is folded away.";
    const value = this.isDone(number) ? this.valueOf(number) : null;
    const inputs = [...new Set(this.takes.get(number) ?? [])];
    const from = inputs.map((input) => {
      const again = this.memory && this.feeds.get(input).some((other) => other !== number && this.isDone(other));
      return this.labelOf(input) + (again ? " (from memory)" : "");
    });
    const within = this.data.boxes[number].tasks ? "In " : "";
    return `${within}${this.labelOf(number)}${value === null ? "" : ` = ${value}`}${from.length ? `, from ${listed(from, " and ", 2)}` : ""}.`;
  }

  // The box of the last step in the picture, or the last of this side; before the first step, the
  // topmost output.
  get place() {
    const number = this.frame ? this.now() ?? this.data.now.at(-1) : null;
    const top = (node) => node.getBoundingClientRect().top;
    const outputs = () => this.nodes.filter((node, place) => node && !this.feeds.has(place));
    const node = number === null || number === undefined ? outputs().sort((one, other) => top(one) - top(other))[0] : this.nodes[number];
    return node ?? find(this.svg, ".gap");
  }
}
