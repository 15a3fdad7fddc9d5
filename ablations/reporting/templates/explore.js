// Draws the interactive figures: filters as checkboxes, choices as lists, zoom by dragging or buttons, marks
// by arrow keys. A figure that is drawn takes the place of its static ones on the screen.
"use strict";
for (const place of document.querySelectorAll(".explore")) {
  const part = JSON.parse(place.querySelector("script").textContent);
  const scope = place.closest("section") || document;
  const off = new Map(part.filters.map((filter) => [filter.field, new Set()]));
  const make = (tag, properties = {}, ...inside) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...inside);
    return element;
  };
  const decode = (columns) => {
    const lists = Object.entries(columns).map(([name, column]) =>
      [name, Array.isArray(column) ? column : column.at.map((at) => column.of[at])]);
    const length = lists[0][1].length;
    return Array.from({ length }, (_, row) => Object.fromEntries(lists.map(([name, list]) => [name, list[row]])));
  };
  const set = (object, path, value) => {
    const steps = path.split("."), last = steps.pop();
    steps.reduce((inner, step) => (inner[step] ??= {}), object)[last] = value;
  };
  const figures = part.figures.map((figure) => ({
    ...figure,
    rows: Object.fromEntries(Object.entries(figure.data).map(([name, columns]) => [name, decode(columns)])),
    chosen: figure.choices.map((choice) => Object.keys(choice.options)[0]),
    extent: {},
  }));

  const config = {
    background: null, font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: { labelColor: "currentColor", titleColor: "currentColor", domainColor: "currentColor", tickColor: "currentColor",
      gridColor: "currentColor", gridOpacity: 0.12, labelSeparation: 4, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
  };

  const draw = async (figure) => {
    const spec = structuredClone(figure.spec);
    figure.choices.forEach((choice, at) => {
      for (const [path, value] of Object.entries(choice.options[figure.chosen[at]])) set(spec, path, value);
    });
    for (const [channel, ends] of Object.entries(figure.extent)) {
      set(spec, `encoding.${channel}.scale.domain`, ends);
      set(spec, `encoding.${channel}.scale.nice`, false);
    }
    for (const filter of part.filters) {
      for (const [path, field] of Object.entries(figure.domains)) {
        if (field !== filter.field) continue;
        const there = new Set(Object.values(figure.rows).flatMap((rows) => rows.map((row) => row[field])));
        const on = filter.values.filter((value) => there.has(value) && !off.get(field).has(value));
        set(spec, path, on);
        if (figure.row) spec.height = figure.row * on.length;
      }
    }
    const shown = (row) => part.filters.every(({ field }) => !(field in row) || !off.get(field).has(row[field]));
    const logs = ["x", "y"].filter((channel) => spec.encoding[channel].scale?.type === "log");
    const positive = (row) => logs.every((channel) => !(row[spec.encoding[channel].field] <= 0));
    Object.assign(spec, {
      width: "container", config,
      datasets: Object.fromEntries(
        Object.entries(figure.rows).map(([name, rows]) => [name, rows.filter((row) => shown(row) && positive(row))])),
    });
    if (figure.row_field) {
      const rows = Object.values(spec.datasets).flat().map((row) => row[figure.row_field]);
      spec.height = figure.row * new Set(rows).size;
    }
    const labels = spec.encoding.y.axis;
    if (labels?.labelLimit) labels.labelLimit = Math.min(labels.labelLimit, 0.5 * figure.chart.clientWidth);
    figure.drawing?.finalize();
    figure.at = -1;
    figure.brushed = figure.drawing = null;
    figure.said.textContent = "";
    if (!Object.values(spec.datasets).some((rows) => rows.length)) {
      figure.chart.replaceChildren();
      figure.said.textContent = "Everything in this figure is switched off.";
      return;
    }
    const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    figure.drawing = await vegaEmbed(figure.chart, spec, {
      mode: "vega-lite", ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: { theme },
      padding: { left: 2, right: 16, top: 6, bottom: 2 }, logLevel: 1 });
    figure.drawing.view.addSignalListener("brush", (_, brushed) => { figure.brushed = brushed; });
  };
  // One drawing after the other, so that the last request is the one that is seen.
  const redraw = (figure) => (figure.waiting = (figure.waiting ?? Promise.resolve()).then(() => draw(figure)));
  const all = () => Promise.all(figures.map(redraw));

  const domains = (figure) => figure.zoom.map((channel) => [channel, figure.drawing.view.scale(channel)]);
  const scaled = (figure, factor) => {
    if (!figure.drawing) return;
    for (const [channel, scale] of domains(figure)) {
      const ends = scale.range().map(Number), middle = (ends[0] + ends[1]) / 2;
      figure.extent[channel] = ends.map((end) => scale.invert(middle + (end - middle) * factor)).sort((a, b) => a - b);
    }
    redraw(figure);
  };
  const whole = (figure) => { figure.extent = {}; redraw(figure); };
  const zoomTo = (figure) => {
    const ends = Object.values(figure.brushed ?? {});
    if (ends.length !== figure.zoom.length || !ends.every(([low, high]) => high > low)) return;
    figure.zoom.forEach((channel, at) => { figure.extent[channel] = ends[at]; });
    redraw(figure);
  };

  const step = (figure, by) => {
    const marks = [...figure.chart.querySelectorAll("[role=graphics-symbol][aria-label]")].filter(
      (mark) => !mark.closest(".role-axis"));
    if (!marks.length) return;
    marks[figure.at]?.classList.remove("pointed");
    figure.at = (Math.max(figure.at, by > 0 ? -1 : 0) + by + marks.length) % marks.length;
    marks[figure.at].classList.add("pointed");
    figure.said.textContent = marks[figure.at].getAttribute("aria-label");
  };

  const filterBox = (filter) => {
    const boxes = filter.values.map((value) => make("input", { type: "checkbox", checked: true }));
    const change = () => {
      off.set(filter.field, new Set(filter.values.filter((_, at) => !boxes[at].checked)));
      all();
    };
    const everything = (checked) => () => { boxes.forEach((box) => { box.checked = checked; }); change(); };
    boxes.forEach((box) => box.addEventListener("change", change));
    const labels = filter.values.map((value, at) => {
      const swatch = make("span", { className: "swatch" });
      swatch.style.color = filter.colours[at] ?? "transparent";
      return make("label", {}, boxes[at], ...(filter.colours.length ? [swatch] : []), make("span", { className: "name" }, String(value)));
    });
    return make("fieldset", {}, make("legend", {}, filter.title),
      make("button", { type: "button", onclick: everything(true) }, "All"),
      make("button", { type: "button", onclick: everything(false) }, "None"),
      make("div", { className: "boxes" }, ...labels));
  };

  const figureBox = (figure) => {
    figure.chart = make("div", { className: "chart", tabIndex: 0 });
    figure.chart.setAttribute("role", "application");
    figure.chart.setAttribute("aria-label", `${figure.title}: arrow keys go from mark to mark`);
    figure.said = make("p", { className: "said" });
    figure.said.setAttribute("aria-live", "polite");
    const lists = figure.choices.map((choice, at) => {
      const list = make("select", {}, ...Object.keys(choice.options).map((name) => make("option", {}, name)));
      list.addEventListener("change", () => { figure.chosen[at] = list.value; whole(figure); });
      return make("label", {}, `${choice.title} `, list);
    });
    const button = (text, act) => make("button", { type: "button", onclick: act }, text);
    figure.chart.addEventListener("pointerup", () => setTimeout(() => zoomTo(figure)));
    figure.chart.addEventListener("dblclick", () => whole(figure));
    figure.chart.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (by) { event.preventDefault(); step(figure, by); }
    });
    return make("figure", {}, make("figcaption", {}, make("b", {}, figure.title), ` ${figure.note}`),
      make("div", { className: "controls" }, ...lists, button("Zoom in", () => scaled(figure, 0.5)),
        button("Zoom out", () => scaled(figure, 2)), button("Whole", () => whole(figure))),
      figure.chart, figure.said);
  };

  place.append(
    make("p", { className: "numbers" }, "Point at a mark, or step through the marks of a figure with the arrow keys;" +
      " drag to zoom, double-click for the whole."),
    make("div", { className: "filters" }, ...part.filters.map(filterBox)), ...figures.map(figureBox));
  place.classList.add("active");
  all().then(() => {
    for (const name of figures.flatMap((figure) => figure.replaces)) {
      scope.querySelector(`figure[data-figure="${name}"]`)?.classList.add("replaced");
    }
    place.dataset.drawn = "yes";
  });
}
