// A slider shows the row of texts at its position. Python makes the texts, so they are exact.

for (const part of all(document, "[data-slider]")) {
  const { rows } = dataOf(part);
  const range = find(part, "input");
  const places = all(part, "[data-text]");
  const show = () => {
    const row = rows[range.valueAsNumber];
    places.forEach((place, column) => { place.textContent = row[column]; });
    range.setAttribute("aria-valuetext", row[0]);
  };
  range.addEventListener("input", show);
  show();
}
