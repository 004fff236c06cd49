// Questions: an answer is checked here, and told only if it is asked for.

for (const button of all(document, "[data-unveil]")) {
  button.addEventListener("click", () => {
    const isAsked = button.closest(".table").classList.toggle("asked");
    button.textContent = isAsked ? "Hide it again" : "Show what is hidden";
  });
}

const plain = (text) => text.replace(/[\s,]/g, "");

for (const quiz of all(document, "[data-quiz]")) {
  const answers = dataOf(quiz);
  all(quiz, "form").forEach((form, place) => {
    const right = answers[place];
    const said = find(form, "[role=status]");
    const boxes = all(form, "input[type=checkbox]");
    const tell = (text, kind) => {
      said.textContent = text;
      said.className = kind;
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = boxes.length
        ? boxes.filter((box) => box.checked).map((box) => box.value)
        : [plain(find(form, "input").value)];
      const is = given.length === right.length && right.every((each) => given.includes(boxes.length ? each : plain(each)));
      tell(is ? `Right. ${said.dataset.why}` : "Not so: look again, or ask for the answer.", is ? "right" : "wrong");
    });
    find(form, "[data-reveal]").addEventListener("click", () => {
      tell(`${right.join(", ") || "None"}. ${said.dataset.why}`, "told");
    });
  });
}
