// The source of the call of the step, the calls that wait for it, and what the DAG looks up instead.

const SHOWN = 7; // rows of a list: of more, some are left out

class Code {
  constructor(root, left, right, code) {
    Object.assign(this, { left, right, code, sources: all(root, "[data-source]") });
    [this.stack, this.looked] = all(root, ".calls");
    const room = (lengths) => `${20 * Math.min(Math.max(...lengths), SHOWN)}px`;
    this.stack.style.minHeight = room(left.order.map((number) => this.waiting(number).length));
    this.looked.style.minHeight = room(right.order.map((number) => new Set(right.takes.get(number)).size + 1));
  }

  // A box of the tree below those of the calls that wait for it. What waits for a fold is folded, too.
  waiting(number) {
    const stack = [];
    for (let box = number; box !== undefined && this.of(stack[0]) !== null; box = this.left.feeds.get(box)?.[0]) stack.unshift(box);
    return stack;
  }

  of(box, side = this.left) {
    return side.data.boxes[box]?.of;
  }

  go() {
    const { left, code } = this;
    const now = left.now();
    const stack = now === null ? [] : this.waiting(now);
    const { tasks } = left.data.boxes[now] ?? {};
    const line = (place) => code.calls[this.of(stack[place])]?.[this.of(stack[place + 1])];
    const value = now === null || !left.isDone(now) ? null : left.valueOf(now); // none of what a store made needless
    const last = value !== null ? `= ${value}` : this.of(now) !== null && tasks && !left.isDone(now) && `${tasks}, folded`;
    put(this.stack, stack.map((box, place) => [left.labelOf(box), box === now ? last : line(place) && `line ${line(place)}`, box === now && "now"]), 1);
    put(this.looked, this.lookups(stack), SHOWN - 2);
    // A statement, once its value is there; the line of a call, as long as the call goes on; or `def`.
    const place = stack.findLastIndex((box) => code.places[this.of(box)]);
    const [source, ...statement] = code.places[this.of(stack[place])] ?? [];
    const lit = stack[place] !== now ? [line(place), line(place)] : left.isDone(now) ? statement : [];
    this.sources.forEach((element, number) => {
      if (place >= 0) element.hidden = number !== source;
      [...element.children].forEach((row, first) => {
        const isLit = lit[0] ? lit[0] <= row.dataset.line && row.dataset.line <= lit[1] : !first;
        row.classList.toggle("lit", number === source && isLit);
      });
    });
  }

  // What the DAG looks up in the step. When it is done: what it has for the calls that the tree repeats.
  lookups(stack) {
    const { left, right } = this;
    const now = right.now();
    const memo = (box, arrow) => `memo[${right.labelOf(box)}] ${arrow} ${right.valueOf(box)}`;
    const replaced = (box) => `replaces ${this.code.sizes[this.of(box, right)]}`;
    if (now === null) {
      const whole = (box) => right.order.find((other) => this.of(other, right) === this.of(box));
      const isLoaded = (box) => right.data.boxes[whole(box)]?.at === null;
      const again = stack.find((box) => left.data.boxes[box].number > 1 || isLoaded(box));
      return again === undefined || whole(again) === undefined ? [] : [[memo(whole(again), "→"), (isLoaded(again) ? "from the store: " : "") + replaced(whole(again)), "hit"]];
    }
    const inputs = right.takes.get(now) ?? [];
    const rows = [...new Set(inputs)].map((input) => {
      if (this.of(input, right) === null) return [right.labelOf(input)];
      const isFound = right.feeds.get(input).some((other) => other !== now && right.data.boxes[other].at !== null && right.isDone(other));
      const isTwice = inputs.indexOf(input) !== inputs.lastIndexOf(input);
      const first = right.data.boxes[input].at === null ? "from the store" : isTwice ? "first use, then a hit" : "first use";
      return [memo(input, "→"), isFound ? `hit: ${replaced(input)}` : first, isFound && "hit"];
    });
    return this.of(now, right) === null ? [] : [...rows, [memo(now, "←"), "miss: computed and kept", "now"]];
  }
}

// Rows of a list; of too many, some are left out at a place. What stands below the list stays there.
const put = (list, rows, place) => {
  const more = rows.length - SHOWN + 1;
  list.replaceChildren(...(more > 1 ? rows.toSpliced(place, more, [`… ${more} more`]) : rows).map(([label, text, kind]) => {
    const row = make("li", label, kind || "");
    row.append(make("small", text || ""));
    return row;
  }));
  if (list.offsetHeight) list.style.minHeight = `${list.offsetHeight}px`;
};
