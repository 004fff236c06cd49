// Helpers of all scripts; and choices, which show one of their alternatives.

const find = (root, what) => root.querySelector(what);
const all = (root, what) => [...root.querySelectorAll(what)];
const dataOf = (root) => JSON.parse(find(root, 'script[type="application/json"]').textContent);

// Some of many names, and how many more there are.
const listed = (names, between, most = 8) => {
  const more = names.length - most;
  return (more > 1 ? [...names.slice(0, most), `${more.toLocaleString("en")} more`] : names).join(between);
};

const make = (name, text = "", kind = "") => {
  const element = document.createElement(name);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
};

for (const choice of all(document, "[data-choice]")) {
  const select = find(choice, "select");
  const options = [...choice.children].filter((child) => child.hasAttribute("data-option"));
  const choose = () => options.forEach((option, place) => { option.hidden = place !== select.selectedIndex; });
  select.addEventListener("change", choose);
  choose(); // a browser may remember an earlier choice
}

// In a notebook's frame a fragment is one of the notebook, which the frame would load.
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link && location.protocol === "about:") { event.preventDefault(); find(document, link.hash).scrollIntoView(); }
});
