"use strict";
// Rows of memory: a cell is filled in the steps in which its value is held.
(() => {
  const SECONDS = 12; // for a whole run
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const filler = (section, { cells, notes }) => {
    const rows = [...section.querySelectorAll("[data-cells]")].map((row) => row.children);
    const now = section.querySelector("[data-now]");
    return (step) => {
      const at = Math.min(step, notes.length - 1);
      const held = new Map();
      for (const [row, column, first, last, again] of cells) {
        // A value that is kept hides a second one that is computed again.
        const place = rows[row][column];
        if (first <= at && at <= last && held.get(place) !== "kept") {
          held.set(place, again ? "again" : "kept");
        }
      }
      for (const row of rows) {
        for (const place of row) {
          if (held.has(place)) place.dataset.held = held.get(place);
          else delete place.dataset.held;
        }
      }
      section.toggleAttribute("data-over", step >= notes.length - 1);
      now.textContent = notes[at];
    };
  };

  for (const part of document.querySelectorAll("[data-rows]")) {
    const { runs } = JSON.parse(part.querySelector("script[type='application/json']").textContent);
    const fillers = [...part.querySelectorAll("[data-run]")].map((each, n) => filler(each, runs[n]));
    const range = part.querySelector("input[type=range]");
    const play = part.querySelector("[data-play]");
    const last = Number(range.max);
    let start = null; // the time at which step 0 would have been, while it runs

    const show = () => {
      for (const fill of fillers) fill(range.valueAsNumber);
      range.setAttribute("aria-valuetext", `step ${range.valueAsNumber + 1} of ${last + 1}`);
    };
    const stop = () => {
      start = null;
      play.textContent = "Run";
    };
    const frame = (time) => {
      if (start === null) return;
      const step = Math.floor(((time - start) / 1000 / SECONDS) * last);
      range.value = Math.min(step, last);
      show();
      if (step >= last) stop();
      else requestAnimationFrame(frame);
    };
    play.addEventListener("click", () => {
      if (start !== null) {
        stop();
        return;
      }
      if (range.valueAsNumber >= last) range.value = 0;
      start = performance.now() - (range.valueAsNumber / last) * SECONDS * 1000;
      play.textContent = "Pause";
      requestAnimationFrame(frame);
    });
    range.addEventListener("input", () => {
      stop();
      show();
    });
    const prefer = () => {
      play.hidden = still.matches;
      if (still.matches) stop();
    };
    still.addEventListener("change", prefer);
    prefer();
    show();
  }
})();
