// The front: point at a machine to see it, select it to open it below.
(function () {
  const tip = document.getElementById("tip") || document.createElement("div");
  function place(event) {
    tip.style.display = "block";
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)) + "px";
  }
  function open(name) {
    const machine = name && document.getElementById(name);
    if (machine && machine.tagName === "DETAILS") machine.open = true;
  }
  for (const point of document.querySelectorAll(".machine-point")) {
    const title = point.querySelector("title"), words = title.textContent;
    point.setAttribute("aria-label", words);
    title.remove();
    const number = point.getAttribute("href");
    const alike = () => document.querySelectorAll('.machine-point[href="' + number + '"]');
    const mark = (on) => alike().forEach((p) => p.classList.toggle("chosen", on));
    point.onmousemove = (event) => {
      mark(true);
      document.body.append(tip);
      tip.style.whiteSpace = "pre-line";
      tip.textContent = words;
      place(event);
    };
    point.onmouseleave = () => {
      mark(false);
      tip.style.display = "none";
      tip.style.whiteSpace = "";
    };
    point.addEventListener("click", () => open(number.slice(1)));
  }
  addEventListener("hashchange", () => open(location.hash.slice(1)));
  open(location.hash.slice(1));
})();
