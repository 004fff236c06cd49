"use strict";
// A slider shows the row of texts that it stands at. The texts are made in Python, and exact.
(() => {
  for (const part of document.querySelectorAll("[data-slider]")) {
    const { rows } = JSON.parse(part.querySelector("script[type='application/json']").textContent);
    const range = part.querySelector("input[type=range]");
    const places = part.querySelectorAll("[data-text]");
    const show = () => {
      const row = rows[range.valueAsNumber];
      places.forEach((place, column) => { place.textContent = row[column]; });
      range.setAttribute("aria-valuetext", row[0]);
    };
    range.addEventListener("input", show);
    show();
  }
})();
