// A picture in its frame. What does not fit is panned: text is never smaller than LEAST pixels.

const LEAST = 9.1;
const PIXELS = 4 / 3; // in a point

class View {
  constructor(frame, svg) {
    Object.assign(this, { frame, svg, scale: 1, isFitted: true, room: Infinity });
    [this.width, this.height] = ["width", "height"].map((name) => parseFloat(svg.getAttribute(name)) * PIXELS);
    const sizes = all(svg, "text").map((text) => parseFloat(getComputedStyle(text).fontSize));
    this.least = LEAST / PIXELS / Math.min(...sizes);
    frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // a touchpad's pinch has it, too
      event.preventDefault();
      this.zoom(2 ** (-event.deltaY / 150), event.clientX, event.clientY);
    }, { passive: false });
    frame.addEventListener("pointerdown", (event) => this.drag(event));
    for (const name of ["touchstart", "touchmove"]) frame.addEventListener(name, (event) => this.pinch(event), { passive: false });
  }

  resize(scale) {
    const widest = Math.max(1, ...all(this.svg, ".node").map((node) => node.getBBox().width)) * PIXELS;
    this.scale = Math.max(Math.min(scale, 4, (this.frame.clientWidth - 14) / widest), this.least);
    this.svg.style.width = `${this.width * this.scale}px`;
    const { scrollWidth, clientWidth, scrollHeight, clientHeight, classList, parentElement } = this.frame;
    const isPannable = scrollWidth > clientWidth + 1 || scrollHeight > clientHeight + 1;
    classList.toggle("pannable", isPannable);
    parentElement.classList.toggle("zoomable", isPannable || !this.isFitted);
  }

  // As large as there is room for, if it can be read.
  fit(room = this.room) {
    this.room = room;
    this.isFitted = true;
    if (room < Infinity) this.frame.style.maxHeight = `${room}px`;
    this.resize(Math.min((this.frame.clientWidth - 2) / this.width, room / this.height, room < Infinity ? 1.2 : 1));
  }

  // The point of the picture at x and y stays there.
  zoom(factor, x, y) {
    const [before, frame] = [this.svg.getBoundingClientRect(), this.frame.getBoundingClientRect()];
    x ??= frame.left + frame.width / 2;
    y ??= frame.top + frame.height / 2;
    this.isFitted = false;
    this.resize(this.scale * factor);
    const after = this.svg.getBoundingClientRect();
    const ratio = after.width / before.width;
    this.frame.scrollLeft += after.left + (x - before.left) * ratio - x;
    this.frame.scrollTop += after.top + (y - before.top) * ratio - y;
  }

  // A mouse drags; a finger pans by itself.
  drag({ pointerType, button, pointerId, clientX, clientY }) {
    if (pointerType !== "mouse" || button) return;
    const { frame } = this;
    const [left, top] = [frame.scrollLeft + clientX, frame.scrollTop + clientY];
    const stop = new AbortController();
    const move = (event) => {
      if (Math.hypot(event.clientX - clientX, event.clientY - clientY) > 4) frame.setPointerCapture(pointerId); // and so no click
      if (frame.hasPointerCapture(pointerId)) frame.scrollTo({ left: left - event.clientX, top: top - event.clientY, behavior: "instant" });
    };
    frame.addEventListener("pointermove", move, stop);
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => stop.abort(), stop);
  }

  pinch(event) {
    if (event.touches.length !== 2) return;
    event.preventDefault();
    const [one, other] = event.touches;
    const apart = Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    const [x, y] = [(one.clientX + other.clientX) / 2, (one.clientY + other.clientY) / 2];
    if (event.type === "touchmove" && this.apart) {
      this.frame.scrollLeft -= x - this.x;
      this.frame.scrollTop -= y - this.y;
      this.zoom(apart / this.apart, x, y);
    }
    Object.assign(this, { apart, x, y });
  }

  // Bring a node into the frame, with some room around it.
  follow(node, isSmooth = false) {
    const [box, frame] = [node.getBoundingClientRect(), this.frame.getBoundingClientRect()];
    const { clientWidth, clientHeight } = this.frame;
    const [x, y] = [box.left - frame.left, box.top - frame.top];
    const isSeen = x >= 6 && x + box.width <= clientWidth - 6 && y >= 6 && y + box.height <= clientHeight - 6;
    const [left, top] = [x + (box.width - clientWidth) / 2, y + (box.height - clientHeight) / 2];
    if (!isSeen) this.frame.scrollBy({ left, top, behavior: isSmooth ? "smooth" : "instant" });
  }
}

const views = new Map();
for (const frame of all(document, ".picture .view, .plot [role=img]")) {
  const view = new View(frame, find(frame, "svg"));
  views.set(frame, view);
  new ResizeObserver(() => view.isFitted && view.fit()).observe(frame);
}
