// A memory strip: a cell is filled in the tasks in which its value is held.

for (const part of all(document, "[data-strip]")) {
  const { runs } = dataOf(part);
  const range = find(part, "input");
  const show = () => {
    const task = range.valueAsNumber;
    range.setAttribute("aria-valuetext", `task ${task + 1} of ${Number(range.max) + 1}`);
    all(part, "[data-run]").forEach((section, place) => {
      const { cells, notes } = runs[place];
      const at = Math.min(task, notes.length - 1);
      const rows = all(section, "[data-cells]").map((row) => [...row.children]);
      for (const cell of rows.flat()) delete cell.dataset.held;
      for (const [row, column, first, last, again] of cells) {
        const { dataset } = rows[row][column];
        // A value that is kept hides a copy of it that is computed again.
        if (first <= at && at <= last && dataset.held !== "kept") dataset.held = again ? "again" : "kept";
      }
      section.toggleAttribute("data-over", task >= notes.length - 1);
      find(section, "[data-now]").textContent = notes[at];
    });
  };
  range.addEventListener("input", show);
  show();
}
