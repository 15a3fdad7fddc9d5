// Keeps the page of a running study current where it is served: asks how far the run is, and loads a newer page.
"use strict";
if (location.protocol === "http:") {
  const place = document.getElementById("live");
  const text = place.querySelector("span"), list = place.querySelector("ul");
  const look = async () => {
    try {
      const now = await (await fetch("status", { cache: "no-store" })).json();
      if (String(now.version) !== place.dataset.version) {
        location.reload();
        return;
      }
      text.textContent = now.text;
      list.replaceChildren(...now.running.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
      setTimeout(look, 2000);
    } catch {
      text.textContent = "it no longer answers; this is its last known state.";
      list.replaceChildren();
    }
  };
  look();
}
