// The memo table: a row for each subproblem, written when the DAG evaluates it, read by its consumers.

class Memo {
  constructor(table, side) {
    this.side = side;
    this.rows = new Map();
    for (const number of side.order) {
      const row = make("tr");
      const cells = [make("th", side.labelOf(number)), make("td", "", "number"), make("td", "", "number")];
      cells[0].scope = "row";
      row.append(...cells);
      row.dataset.of = side.data.boxes[number].of;
      this.rows.set(number, row);
    }
    find(table, "tbody").append(...this.rows.values());
  }

  go() {
    const { side } = this;
    const now = side.isOver(side.frame - 1) ? null : side.now();
    const read = new Set(side.takes.get(now) ?? []);
    for (const [number, row] of this.rows) {
      const done = side.isDone(number);
      const [, value, reads] = row.children;
      const consumers = side.feeds.get(number) ?? [];
      // A task that a store has read nothing.
      const times = consumers.filter((consumer) => side.data.boxes[consumer].at !== null && side.isDone(consumer)).length;
      const least = consumers.some((consumer) => side.data.boxes[consumer].of === null) ? "≥ " : ""; // some are folded
      value.textContent = done ? side.valueOf(number) ?? "" : "";
      reads.textContent = times ? `${least}${times}` : "";
      row.className = number === now ? "now" : read.has(number) ? (times > 1 ? "hit" : "read") : done ? "" : "empty";
    }
    const row = this.rows.get(now);
    const box = row?.closest(".table");
    if (box && box.scrollHeight > box.clientHeight) box.scrollTop = row.offsetTop - box.clientHeight / 2;
  }
}
