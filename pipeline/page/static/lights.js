// Pointing at a node, or at a row or a cell of the memo table, lights its subproblem on both sides, what it
// takes and what takes it.

class Lights {
  constructor(root, sides, more) {
    Object.assign(this, { root, sides, more, pinned: null, left: sides[0], right: sides.at(-1), card: find(root, "[data-card]") });
    for (const side of sides) side.nodes[side.order.at(-1)]?.setAttribute("tabindex", "0");
    const on = (kinds, act) => kinds.forEach((kind) => root.addEventListener(kind, ({ target }) => {
      const place = this.placeOf(target);
      if (place) act(...place);
    }));
    on(["pointerover", "focusin"], (side, number) => this.show(side, number));
    on(["focusin"], (side, number) => side.nodes.forEach((node, place) => node?.setAttribute("tabindex", place === number ? "0" : "-1")));
    on(["pointerout", "focusout"], () => this.rest());
    on(["click"], (side, number) => this.pin(side, number));
  }

  placeOf(target) {
    const node = target.closest("[data-box]");
    const row = target.closest("[data-of]");
    if (node) return [this.sides.find(({ svg }) => svg.contains(node)), Number(node.dataset.box)];
    return row && [this.right, this.right.data.boxes.findIndex(({ of }) => of === Number(row.dataset.of))];
  }

  press(place) {
    const press = (isPressed) => this.pinned?.[0].nodes[this.pinned[1]]?.setAttribute("aria-pressed", isPressed);
    press(false);
    this.pinned = place;
    press(true);
    this.root.classList.toggle("pinned", place !== null);
  }

  pin(side, number) {
    const isSame = this.pinned?.[0] === side && this.pinned[1] === number;
    this.press(isSame ? null : [side, number]);
    this.show(side, number);
  }

  release() {
    this.press(null);
    this.rest();
  }

  rest() {
    if (this.pinned) this.show(...this.pinned);
    else this.light(null);
  }

  show(side, number) {
    this.light(side.data.boxes[number].of);
    this.describe(side, number);
    const bottom = side.nodes[number]?.getBoundingClientRect().bottom ?? 0;
    this.card.classList.toggle("above", bottom > innerHeight - this.card.offsetHeight - 20);
  }

  light(of) {
    this.root.classList.toggle("lit", of !== null);
    this.card.hidden = of === null;
    for (const side of this.sides) {
      const same = new Set(side.order.filter((number) => of !== null && side.data.boxes[number].of === of));
      const near = (links) => new Set([...same].flatMap((number) => links.get(number) ?? []));
      for (const [kind, numbers] of Object.entries({ same, input: near(side.takes), consumer: near(side.feeds) })) {
        side.nodes.forEach((node, number) => node?.classList.toggle(kind, numbers.has(number)));
      }
      for (const [edge, consumer, input] of side.edges) edge.classList.toggle("on", same.has(consumer) || same.has(input));
    }
    for (const row of all(this.root, "[data-memo] tbody tr")) row.classList.toggle("same", Number(row.dataset.of) === of);
    this.root.dispatchEvent(new CustomEvent("light", { detail: of }));
  }

  describe(side, number) {
    const { left, right, more } = this;
    const box = side.data.boxes[number];
    const details = more.subproblems[box.of];
    const names = (owner, numbers) => listed([...new Set((numbers ?? []).map((one) => owner.labelOf(one)))], ", ") || "none";
    // What a folded box takes is not drawn with it, but perhaps on the right.
    const whole = right.data.boxes.findIndex(({ of }) => of === box.of);
    const takes = box.tasks ? (whole < 0 ? "what is folded away" : names(right, right.takes.get(whole))) : names(side, side.takes.get(number));
    const drawn = left.data.boxes.length === left.data.count ? "" : " of those drawn";
    const here = side === left ? `this is number ${box.number}${drawn}${box.tasks ? `, with ${box.tasks} in it` : ""}` : "on the right 1";
    const rows = details ? [
      ["call", details.call],
      ["key", details.key, "code"],
      ["arguments", details.arguments.join(", ") || "none"],
      ["value", details.value ?? "not seen in this run"],
      ["occurrences", left === right ? details.times : `${details.times} on the left; ${here}`],
      ["took", box.seconds ?? right.data.boxes[whole]?.seconds ?? "not run"],
      ["takes", takes],
      ["is taken by", names(side, side.feeds.get(number))],
    ] : [["folded", box.tasks]];
    this.card.replaceChildren(...rows.map(([name, text, kind]) => {
      const row = make("div");
      row.append(make("dt", name), make("dd", text, kind));
      return row;
    }));
  }

  // The next node in the order of evaluation.
  move(node, step) {
    const [side, number] = this.placeOf(node);
    side.nodes[side.order.at(Math.min(Math.max(side.order.indexOf(number) + step, 0), side.order.length - 1))].focus();
  }
}
