// Hover only: the page says everything without this script.
(function () {
  const tip = document.getElementById("tip");
  const codes = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const data = new Map();
  const colour = {}, meaning = {};
  for (const key of document.querySelectorAll(".key")) {
    colour[key.dataset.cause] = key.dataset.colour;
    meaning[key.dataset.cause] = key.title;
    key.onmouseenter = () => focus(key.dataset.cause);
    key.onmouseleave = () => focus(null);
  }
  function focus(cause) {
    for (const path of document.querySelectorAll("path[data-cause]"))
      path.style.opacity = cause && path.dataset.cause !== cause ? 0.12 : "";
  }
  function parsed(section) {
    if (!data.has(section))
      data.set(section, JSON.parse(section.querySelector("script").textContent));
    return data.get(section);
  }
  function hide(svg) {
    tip.style.display = "none";
    svg.querySelector(".cursor").style.visibility = "hidden";
  }
  function locate(offset, cell, gap, cells, facets) {
    const facet = Math.floor(offset / (cells * cell + gap));
    const inner = Math.floor((offset - facet * (cells * cell + gap)) / cell);
    return offset < 0 || facet >= facets || inner >= cells ? null : [facet, inner];
  }
  for (const svg of document.querySelectorAll("svg.map")) {
    for (const title of svg.querySelectorAll("title")) title.remove();
    const s = svg.dataset, cell = +s.cell, gap = +s.gap, left = +s.left, top = +s.top;
    const [rows, columns, height, width] = s.shape.split(",").map(Number);
    svg.onmouseleave = () => hide(svg);
    svg.onmousemove = (event) => {
      const box = svg.getBoundingClientRect();
      const across = locate(event.clientX - box.left - left, cell, gap, width, columns);
      const down = locate(event.clientY - box.top - top, cell, gap, height, rows);
      if (!across || !down) return hide(svg);
      const [column, x] = across, [row, y] = down, map = parsed(svg.closest("section"));
      const at = [+s.panel, row, column, y, x];
      const code = s.codes[((row * columns + column) * height + y) * width + x];
      const cause = map.causes[codes.indexOf(code)];
      const knobs = {
        ...map.y[y], ...map.x[x], ...map.rows[row], ...map.columns[column], ...map.panels[s.panel],
      };
      const index = at.reduce((sum, digit, axis) => sum + map.strides[axis][digit], 0);
      const text = Object.entries(knobs).map(([name, value]) => name + " " + value).join(", ");
      const head = document.createElement("b"), mark = document.createElement("i");
      head.textContent = cause === "ok" ? "feasible" : cause;
      mark.style.background = colour[cause];
      tip.replaceChildren(mark, head, document.createElement("br"));
      tip.append((meaning[cause] || "") + " — " + text + " (index " + index + ")");
      const note = map.notes && map.notes[index];
      if (note) tip.append(document.createElement("br"), note);
      tip.style.display = "block";
      tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
      tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8) + "px";
      const cursor = svg.querySelector(".cursor");
      cursor.setAttribute("x", left + column * (width * cell + gap) + x * cell);
      cursor.setAttribute("y", top + row * (height * cell + gap) + y * cell);
      cursor.setAttribute("width", cell);
      cursor.setAttribute("height", cell);
      cursor.style.visibility = "visible";
    };
  }
})();
