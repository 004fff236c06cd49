// A scene: both sides take their steps at the same pace, and the memo table fills beside.

class Scene {
  constructor(root) {
    this.root = root;
    const { sides, more } = dataOf(root);
    this.more = more;
    this.sides = all(root, ".side").map((element, place) => new Side(element, sides[place], more, place === sides.length - 1));
    [this.left, this.right] = [this.sides[0], this.sides.at(-1)];
    this.isPair = this.left !== this.right;
    this.memo = new Memo(find(root, "[data-memo]"), this.right);
    this.code = more.code && new Code(root, this.left, this.right, more.code);
    this.lights = new Lights(root, this.sides, more);
    this.table = more.table?.cells.length ? new Table(this, more.table) : null;
    this.scrub = find(root, "[data-scrub]");
    this.speed = find(root, "[data-speed]");
    this.timer = null;
    this.scrub.addEventListener("input", () => { this.pause(); this.go(Number(this.scrub.value)); });
    for (const button of all(root, "[data-do]")) button.addEventListener("click", () => this.do(button.dataset.do));
    new ResizeObserver(() => this.fit()).observe(find(root, ".stage"));
    addEventListener("resize", () => this.fit());
    root.addEventListener("pointerdown", () => { Scene.current = this; });
    root.addEventListener("focusin", () => { Scene.current = this; });
    for (const { element, view } of this.sides) {
      for (const button of all(element, "[data-zoom]")) {
        button.addEventListener("click", () => (button.dataset.zoom ? view.zoom(Number(button.dataset.zoom)) : view.fit()));
      }
    }
    this.go(0);
  }

  // Bar and pictures stand on one screen: on the first one, if the scene begins there.
  fit() {
    const stage = find(this.root, ".stage");
    const frames = this.sides.map(({ view }) => view.frame.getBoundingClientRect());
    if (!stage.clientWidth) return; // not shown yet
    stage.style.setProperty("--dag-width", `${Math.ceil(this.right.view.width)}px`);
    const { top } = this.root.getBoundingClientRect(); // that of its bar, which may be stuck to the screen
    const screen = document.documentElement.clientHeight;
    const start = top + scrollY;
    const above = start < screen / 2 ? start : 0;
    const [first, second] = frames;
    const isBelow = this.isPair && second.top > first.bottom;
    const others = first.top - top + (isBelow ? second.top - first.bottom : 0) + 12;
    const room = Math.max((screen - above - others) / (isBelow ? 2 : 1), 150);
    const [legend, source] = [".legend", ".below"].map((name) => (isBelow ? 0 : (find(this.root, name)?.getBoundingClientRect().bottom ?? first.bottom) - first.bottom));
    // The legend gets room if the pictures stay whole.
    const whole = Math.min(Math.max(...this.sides.map(({ view }) => view.height * view.least)) + 2, room - source);
    for (const side of this.sides) {
      if (side.view.isFitted) side.view.fit(Math.max(room - legend, whole, Math.min(room, 280)));
      side.view.follow(side.place);
    }
  }

  get frame() { return this.right.frame; }

  do(what) {
    const steps = { first: 0, back: this.frame - 1, next: this.frame + 1, last: this.more.frames };
    if (what === "play") { if (this.timer) this.pause(); else this.play(); }
    else { this.pause(); this.go(steps[what]); }
    this.reveal();
  }

  // A step is seen: the table or the pictures are on the screen. If they are not, the bar goes to its top.
  reveal() {
    const table = this.table?.element.getBoundingClientRect();
    if (table?.top >= 0 && table.bottom <= document.documentElement.clientHeight) return;
    const { top, bottom } = find(this.root, ".stage").getBoundingClientRect();
    const last = Math.max(...this.sides.map(({ view }) => view.frame.getBoundingClientRect().bottom));
    if (top < 0 || Math.min(bottom, last) > document.documentElement.clientHeight) this.root.scrollIntoView({ behavior: "instant" });
  }

  go(frame) {
    const to = Math.min(Math.max(frame, 0), this.more.frames);
    this.sides.forEach((side) => side.go(to));
    this.memo.go();
    this.code?.go();
    this.table?.go();
    const isSmooth = this.timer !== null && Number(this.speed.value) <= 5 && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    for (const side of this.sides) side.view.follow(side.place, isSmooth);
    this.scrub.value = to;
    const now = this.right.now();
    if (now !== null) this.root.dispatchEvent(new CustomEvent("step", { bubbles: true, detail: this.right.labelOf(now) }));
    this.report(to);
  }

  report(frame) {
    const step = frame * this.more.stride;
    const end = Math.max(...this.sides.map((side) => side.data.done ?? 0), 0);
    const shown = this.left.data.done === null ? step : Math.min(step, end);
    find(this.root, "[data-step]").textContent = `step ${shown.toLocaleString("en")}`;
    this.scrub.setAttribute("aria-valuetext", `step ${shown}`);
    this.sides.forEach((side) => { find(side.element, "[data-note]").textContent = side.sentence(); });
    find(this.root, "[data-said]").textContent = this.verdict();
  }

  // How the race stands.
  verdict() {
    const { left, right } = this;
    if (!this.frame) return `Nothing is evaluated yet. Press ▶: each step evaluates one task${this.isPair ? " on either side" : ""}.`;
    if (!right.isOver()) return "";
    const { loaded, ran } = this.more;
    if (loaded !== null) return `${loaded.toLocaleString("en")} loaded from the store, ${ran.toLocaleString("en")} evaluated; without store and sharing, ${left.data.total} evaluations.`;
    if (!this.isPair) return `Done: ${right.data.total} evaluations, none of them twice.`;
    if (left.isOver()) return `Both are done: ${left.data.total} evaluation${left.data.total === "1" ? "" : "s"} in the tree, ${right.data.done.toLocaleString("en")} in the DAG.`;
    const { count, total } = left.data;
    const togo = count ? `${(count - left.evaluated()).toLocaleString("en")} of ${total}` : `nearly all of ${total}`;
    const times = Object.entries(this.more.rest).map(([how, long]) => `${long} ${how}`).join(", ");
    return `The DAG is done. The tree has ${togo} calls to go. The whole tree would take ${times}.`;
  }

  play() {
    if (this.frame >= this.more.frames) this.go(0);
    this.shown(true);
    const tick = () => {
      const rate = Number(this.speed.value);
      this.go(this.frame + Math.max(1, Math.round(rate / 50)));
      if (this.frame >= this.more.frames) this.pause();
      else this.timer = setTimeout(tick, 1000 / Math.min(rate, 50));
    };
    this.timer = setTimeout(tick, 1000 / Math.min(Number(this.speed.value), 50));
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.shown(false);
  }

  shown(playing) {
    const button = find(this.root, '[data-do="play"]');
    button.textContent = playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.root.classList.toggle("playing", playing);
    find(this.root, "[data-said]").setAttribute("aria-live", playing ? "off" : "polite");
  }

  key(event) {
    const node = event.target.closest?.("[data-box]");
    const steps = { ArrowRight: "next", ArrowLeft: "back", Home: "first", End: "last" };
    if (event.key === "Escape") this.lights.release();
    else if (node && (event.key === "Enter" || event.key === " ")) node.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    else if (node && event.key === "ArrowUp") this.lights.move(node, 1);
    else if (node && event.key === "ArrowDown") this.lights.move(node, -1);
    else if (event.key === " ") this.do("play");
    else if (event.key in steps) this.do(steps[event.key]);
    else return;
    event.preventDefault();
  }
}

const scenes = new Map(all(document, "[data-scene]").map((root) => [root, new Scene(root)]));

const nearest = () => {
  if (Scene.current?.root.checkVisibility()) return Scene.current;
  const seen = [...scenes.values()].filter(({ root }) => root.checkVisibility());
  const middle = innerHeight / 2;
  const far = ({ root }) => {
    const { top, bottom } = root.getBoundingClientRect();
    return top <= middle && bottom >= middle ? 0 : Math.min(Math.abs(top - middle), Math.abs(bottom - middle));
  };
  return seen.sort((one, other) => far(one) - far(other))[0];
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target } = event;
  // A field keeps its keys, and a button its space; Escape lets go from everywhere.
  const isFree = event.key === "Escape" || (event.key === " " && target.matches("[data-scrub]"));
  if (!isFree && target.closest("input, select, textarea, summary, a, [tabindex='0']:not([data-box], .scene)")) return;
  if (event.key === " " && target.closest("button")) return;
  const scene = scenes.get(target.closest("[data-scene]")) ?? nearest();
  scene?.key(event);
});
