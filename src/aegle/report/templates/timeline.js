"use strict";
(function () {
  const data = JSON.parse(document.getElementById("frames").textContent);
  const viewer = document.getElementById("viewer");
  if (!data || !viewer) { return; }
  const slider = document.getElementById("slice");
  const place = document.getElementById("position");
  const words = place.dataset.words;
  const pictures = Array.from(viewer.querySelectorAll("img[data-panel]"));
  const last = data.heights.length - 1;
  function show(index) {
    const now = Math.min(last, Math.max(0, index));
    slider.value = String(now);
    pictures.forEach(function (picture) {
      const frames = data.frames[Number(picture.dataset.panel)];
      if (frames.length) { picture.src = "data:image/jpeg;base64," + frames[now]; }
    });
    place.textContent = words
      .replace("{number}", String(now + 1))
      .replace("{count}", String(last + 1))
      .replace("{where}", data.heights[now].toFixed(1).replace("-", "\u2212"));
  }
  function step(by) { show(Number(slider.value) + by); }
  slider.addEventListener("input", function () { show(Number(slider.value)); });
  viewer.querySelectorAll(".panels").forEach(function (panels) {
    let rest = 0;
    panels.addEventListener("wheel", function (event) {
      event.preventDefault();
      rest += event.deltaY;
      if (Math.abs(rest) >= 30) { step(rest > 0 ? -1 : 1); rest = 0; }
    }, { passive: false });
  });
  viewer.querySelectorAll("button[data-slice]").forEach(function (button) {
    button.addEventListener("click", function () { show(Number(button.dataset.slice)); });
  });
  document.addEventListener("keydown", function (event) {
    if (event.target === slider) { return; }
    if (event.key === "ArrowUp") { event.preventDefault(); step(1); }
    if (event.key === "ArrowDown") { event.preventDefault(); step(-1); }
  });
  show(Number(slider.value));
}());
