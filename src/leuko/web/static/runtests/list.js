// A list of any length, of which only what is in sight stands in the page. Rows may have heights of their own.
"use strict";

const BEYOND = 8; // rows made above and below what is in sight
const TALLEST = 8_000_000; // browsers lose count above some 16 million pixels

export class VirtualList {
  // make() gives an element; fill(element, item, index) puts an item into it; extra(item) its further height.
  constructor(box, { make, fill, extra = () => 0, height }) {
    this.box = box;
    this.make = make;
    this.fill = fill;
    this.extra = extra;
    this.height = height;
    this.items = [];
    this.tops = new Float64Array(1);
    this.pool = [];
    this.used = new Map(); // index -> element
    this.inner = document.createElement("div");
    this.inner.className = "rt-inner";
    this.inner.setAttribute("role", "presentation");
    box.append(this.inner);
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(box);
  }

  set(items) {
    this.items = items;
    this.measure();
    this.draw(true);
  }

  measure() {
    const tall = this.height();
    if (this.tops.length < this.items.length + 1) this.tops = new Float64Array((this.items.length + 1) * 2);
    let top = 0;
    for (let index = 0; index < this.items.length; index++) {
      this.tops[index] = top;
      top += tall + this.extra(this.items[index]);
    }
    this.tops[this.items.length] = top;
    this.inner.style.height = `${Math.min(top, TALLEST)}px`;
  }

  // Heights changed: what stands at the upper edge stays there.
  remeasure() {
    const first = this.at(this.box.scrollTop);
    const off = this.box.scrollTop - this.tops[first];
    this.measure();
    if (first > 0) this.box.scrollTop = this.tops[Math.min(first, this.items.length)] + off;
    this.draw(true);
  }

  at(y) {
    let low = 0;
    let high = Math.max(0, this.items.length - 1);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.tops[middle] <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  draw(again = false) {
    const top = this.box.scrollTop;
    const first = Math.max(0, this.at(top) - BEYOND);
    const last = Math.min(this.items.length - 1, this.at(top + this.box.clientHeight) + BEYOND);
    for (const [index, element] of this.used) {
      if (index < first || index > last) {
        element.hidden = true;
        element.removeAttribute("id");
        this.used.delete(index);
        this.pool.push(element);
      }
    }
    for (let index = first; index <= last; index++) {
      let element = this.used.get(index);
      const fresh = !element;
      if (fresh) {
        element = this.pool.pop() || this.inner.appendChild(this.make());
        element.hidden = false;
        this.used.set(index, element);
      }
      if (fresh || again) {
        element.style.transform = `translateY(${this.tops[index]}px)`;
        this.fill(element, this.items[index], index);
      }
    }
  }

  show(index) {
    if (index < 0) return;
    const top = this.tops[index];
    const bottom = Math.min(this.tops[index + 1], top + this.box.clientHeight);
    if (top < this.box.scrollTop) this.box.scrollTop = Math.max(0, top - this.height());
    else if (bottom > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = bottom - this.box.clientHeight + this.height() / 2;
    this.draw();
  }

  page() {
    return Math.max(1, Math.floor(this.box.clientHeight / this.height()) - 1);
  }
}
