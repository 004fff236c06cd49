// Pointing at a node lights its subproblem on both sides, what it takes and what takes it.

class Lights {
  constructor(root, sides, more) {
    Object.assign(this, { root, sides, more, pinned: null, left: sides[0], right: sides.at(-1) });
    this.card = find(root, "[data-card]");
    for (const side of sides) {
      const first = side.nodes[side.order.at(-1)];
      first?.setAttribute("tabindex", "0");
      side.nodes.forEach((node, number) => node && this.listen(side, node, number));
    }
    for (const row of all(root, "[data-memo] tbody tr")) {
      const number = this.right.data.boxes.findIndex((box) => box.of === Number(row.dataset.of));
      row.addEventListener("pointerenter", () => this.show(this.right, number));
      row.addEventListener("pointerleave", () => this.rest());
    }
  }

  listen(side, node, number) {
    node.addEventListener("pointerenter", () => this.show(side, number));
    node.addEventListener("pointerleave", () => this.rest());
    node.addEventListener("focus", () => this.show(side, number));
    node.addEventListener("blur", () => this.rest());
    node.addEventListener("click", () => this.pin(side, number));
  }

  pin(side, number) {
    const again = this.pinned && this.pinned[0] === side && this.pinned[1] === number;
    this.pinned?.[0].nodes[this.pinned[1]].setAttribute("aria-pressed", "false");
    this.pinned = again ? null : [side, number];
    this.root.classList.toggle("pinned", !again);
    if (!again) side.nodes[number].setAttribute("aria-pressed", "true");
    this.show(side, number);
  }

  release() {
    this.pinned?.[0].nodes[this.pinned[1]].setAttribute("aria-pressed", "false");
    this.pinned = null;
    this.root.classList.remove("pinned");
    this.rest();
  }

  rest() {
    if (this.pinned) this.show(...this.pinned);
    else this.light(null);
  }

  show(side, number) {
    const { of } = side.data.boxes[number];
    this.light(of);
    this.describe(side, number);
    const bottom = side.nodes[number]?.getBoundingClientRect().bottom ?? 0;
    this.card.classList.toggle("above", bottom > innerHeight - this.card.offsetHeight - 20);
  }

  light(of) {
    this.root.classList.toggle("lit", of !== null);
    this.card.hidden = of === null;
    for (const side of this.sides) {
      const same = new Set(side.order.filter((number) => of !== null && side.data.boxes[number].of === of));
      const inputs = new Set([...same].flatMap((number) => side.takes.get(number) ?? []));
      const consumers = new Set([...same].flatMap((number) => side.feeds.get(number) ?? []));
      side.nodes.forEach((node, number) => {
        node?.classList.toggle("same", same.has(number));
        node?.classList.toggle("input", inputs.has(number));
        node?.classList.toggle("consumer", consumers.has(number));
      });
      for (const [edge, consumer, input] of side.edges) edge.classList.toggle("on", same.has(consumer) || same.has(input));
    }
    for (const row of all(this.root, "[data-memo] tbody tr")) row.classList.toggle("same", Number(row.dataset.of) === of);
  }

  describe(side, number) {
    const box = side.data.boxes[number];
    if (box.of === null) {
      this.fill([["folded", box.tasks]]);
      return;
    }
    const details = this.more.subproblems[box.of];
    const { left, right } = this;
    const names = (owner, numbers) => listed([...new Set((numbers ?? []).map((one) => owner.labelOf(one)))], ", ") || "none";
    // What a folded box takes is not drawn with it, but perhaps on the right.
    const whole = right.data.boxes.findIndex((other) => other.of === box.of);
    const takes = box.tasks ? (whole < 0 ? "what is folded away" : names(right, right.takes.get(whole))) : names(side, side.takes.get(number));
    const drawn = left.data.boxes.length === left.data.count ? "" : " of those drawn";
    const here = side === left ? `this is number ${box.number}${drawn}${box.tasks ? `, with ${box.tasks} in it` : ""}` : "on the right 1";
    this.fill([
      ["call", details.call],
      ["key", details.key, "code"],
      ["arguments", details.arguments.join(", ") || "none"],
      ["value", details.value ?? "not seen in this run"],
      ["occurrences", left === right ? details.times : `${details.times} on the left; ${here}`],
      ["took", box.seconds ?? right.data.boxes[whole]?.seconds ?? "not run"],
      ["takes", takes],
      ["is taken by", names(side, side.feeds.get(number))],
    ]);
  }

  fill(rows) {
    this.card.replaceChildren(...rows.map(([name, text, kind]) => {
      const row = make("div");
      row.append(make("dt", name), make("dd", text, kind));
      return row;
    }));
  }

  // The next node in the order of evaluation.
  move(node, step) {
    const side = this.sides.find((other) => other.nodes.includes(node));
    const place = side.order.indexOf(side.nodes.indexOf(node));
    const next = side.nodes[side.order[Math.min(Math.max(place + step, 0), side.order.length - 1)]];
    node.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  }
}
