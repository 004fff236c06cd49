// A slider shows the row of texts at its position. Python makes the texts, so they are exact. It
// lights what has the class of its step, step-3; and so does pointing at that.

for (const part of all(document, "[data-slider]")) {
  const { rows, tasks = [] } = dataOf(part);
  const range = find(part, "input");
  const places = all(part, "[data-text]");
  const marked = all(part, "[class*='step-']").map((one) => [one, one.getAttribute("class").match(/(?<=step-)\d+/g).map(Number)]);
  const light = (steps) => marked.forEach(([one, own]) => one.classList.toggle("on", own.some((step) => steps.includes(step))));
  const show = (steps = [range.valueAsNumber]) => {
    const row = rows[range.valueAsNumber];
    places.forEach((place, column) => { place.textContent = row[column]; });
    range.setAttribute("aria-valuetext", row[0]);
    light(steps);
    for (const one of all(part, ".edge.on")) views.get(one.closest(".view")).follow(one);
  };
  const go = (steps) => {
    range.value = steps.at(-1);
    show(steps);
  };
  range.addEventListener("input", () => show());
  for (const button of all(part, "[data-by]")) button.addEventListener("click", () => go([range.valueAsNumber + Number(button.dataset.by)]));
  for (const [one, own] of marked) {
    one.addEventListener("pointerenter", () => light(own));
    one.addEventListener("pointerleave", () => light([range.valueAsNumber]));
    one.addEventListener("click", () => go(own));
  }
  if (tasks.length) part.parentElement.addEventListener("step", ({ detail }) => {
    const steps = tasks.flatMap((task, step) => (task === detail ? [step] : []));
    if (steps.length) go(steps);
  });
  show();
}
