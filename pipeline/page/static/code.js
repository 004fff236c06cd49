// The source of the call of the step, the calls that wait for it, and what the DAG looks up instead.

const SHOWN = 7; // calls of a stack, and look-ups: of more, some are left out

class Code {
  constructor(root, left, right, code) {
    Object.assign(this, { left, right, code, sources: all(root, "[data-source]") });
    [this.stack, this.looked] = ["stack", "looked"].map((name) => find(root, `[data-${name}]`));
    const most = (lengths) => `${20 * Math.min(Math.max(...lengths), SHOWN)}px`;
    this.stack.style.minHeight = most(left.order.map((number) => this.waiting(number).length));
    this.looked.style.minHeight = most(right.order.map((number) => new Set(right.takes.get(number)).size + 1));
  }

  // A box of the tree below those of the calls that wait for it, the first call first.
  waiting(number) {
    const stack = [];
    for (let box = number; box !== undefined; box = this.left.feeds.get(box)?.[0]) {
      stack.push(box);
      if (this.left.data.boxes[box].of === null) break; // what waits for it is folded away, too
    }
    return stack.reverse();
  }

  // The box of the step, if the side has not come to its end before.
  now(side) {
    return side.isOver(side.frame - 1) ? null : side.now() ?? null;
  }

  go() {
    const { left, code } = this;
    const number = this.now(left);
    const stack = number === null ? [] : this.waiting(number);
    const of = (box) => left.data.boxes[box]?.of;
    const line = (place) => code.calls[of(stack[place])]?.[of(stack[place + 1])];
    const state = (box, place) => {
      if (box !== number) return line(place) ? `line ${line(place)}` : "";
      if (left.isDone(box)) return `= ${left.valueOf(box)}`;
      return left.data.boxes[box].tasks && of(box) !== null ? `${left.data.boxes[box].tasks}, folded` : "";
    };
    this.put(this.stack, stack.map((box, place) => [left.labelOf(box), state(box, place), box === number ? "now" : ""]), 1);
    const place = stack.findLastIndex((box) => code.places[of(box)]);
    if (place >= 0) this.light(...code.places[of(stack[place])], stack[place] === number ? left.isDone(number) : line(place));
    else for (const lit of all(this.sources[0]?.parentElement ?? this.stack, ".lit")) lit.classList.remove("lit");
    this.put(this.looked, this.lookups(stack), -1);
  }

  // A statement, once its value is there; the line of a call, as long as the call goes on; or `def`.
  light(source, first, last, at) {
    this.sources.forEach((element, place) => { element.hidden = place !== source; });
    [...this.sources[source].children].forEach((element, place) => {
      const line = Number(element.dataset.line);
      const isLit = at === true ? line >= first && line <= last : at ? line === at : !place;
      element.classList.toggle("lit", isLit);
    });
  }

  // What the DAG looks up in the step. When it is done: what it has for the calls that the tree repeats.
  lookups(stack) {
    const { left, right } = this;
    const now = this.now(right);
    if (now === null) {
      const again = stack.find((box) => left.data.boxes[box].number > 1);
      const whole = right.data.boxes.findIndex(({ of }) => of !== null && of === left.data.boxes[again]?.of);
      return whole < 0 ? [] : [[this.memo(whole, "→"), this.replaced(whole), "hit"]];
    }
    if (right.data.boxes[now].of === null) return [];
    const inputs = right.takes.get(now) ?? [];
    const rows = [...new Set(inputs)].map((input) => {
      const { of, at } = right.data.boxes[input];
      if (of === null) return [right.labelOf(input), "", ""];
      const consumers = right.feeds.get(input);
      const isFound = consumers.some((other) => other !== now && right.data.boxes[other].at !== null && right.isDone(other));
      const isTwice = inputs.indexOf(input) !== inputs.lastIndexOf(input);
      const text = at === null ? "from the store" : isFound ? `found: ${this.replaced(input)}` : isTwice ? "first use, then found" : "first use";
      return [this.memo(input, "→"), text, isFound ? "hit" : ""];
    });
    return [...rows, [this.memo(now, "←"), "computed and kept", "now"]];
  }

  memo(box, arrow) {
    return `memo[${this.right.labelOf(box)}] ${arrow} ${this.right.valueOf(box)}`;
  }

  replaced(box) {
    const size = this.code.sizes[this.right.data.boxes[box].of];
    return `replaces ${size} call${size === "1" ? "" : "s"}`;
  }

  // Rows of a list; of too many, those after the first or before the last are left out.
  put(list, rows, kept) {
    const more = rows.length - SHOWN + 1;
    if (more > 1) rows = rows.toSpliced(kept === 1 ? 1 : SHOWN - 2, more, [`… ${more} more`, ""]);
    list.replaceChildren(...rows.map(([label, text, kind]) => {
      const row = make("li", label, kind);
      row.append(make("small", text));
      return row;
    }));
    if (list.offsetHeight) list.style.minHeight = `${list.offsetHeight}px`; // what stands below stays there
  }
}
