// Charts: Vega-Lite views, drawn by Vega as SVG in the colors of the page. vegaEmbed comes from the library
// before this script; where that could not be made there are no charts.

// From the colors of the pictures beside this page to the page's own, which follow its theme.
const COLORS = {
  black: "var(--ink)",
  "#000000": "var(--ink)",
  "#333333": "var(--ink)",
  "#666666": "var(--gray)",
  white: "var(--paper)",
  "#0072B2": "var(--accent)",
  "#D55E00": "var(--warm)",
  "#009E73": "var(--green)",
  "#CC79A7": "var(--pink)",
  "#E69F00": "var(--amber)",
  "#56B4E9": "var(--sky)",
};
const LABELS = { labelColor: "var(--dim)", titleColor: "var(--dim)", titleFontWeight: "normal", labelLimit: 0 };
const CONFIG = {
  aria: false,
  background: "transparent",
  font: getComputedStyle(document.body).fontFamily, // and no variable, since Vega measures texts by it
  padding: 2,
  view: { stroke: "var(--line)" },
  axis: {
    ...LABELS,
    titleLimit: 0,
    gridColor: "var(--line)",
    domainColor: "var(--line)",
    tickColor: "var(--line)",
    labelFontSize: 11.5,
    titleFontSize: 12,
    titlePadding: 10,
    labelOverlap: true,
  },
  axisY: { labelColor: "var(--ink)" },
  legend: { ...LABELS, labelFontSize: 12.5, labelColor: "var(--ink)" },
  title: {
    anchor: "start",
    color: "var(--ink)",
    subtitleColor: "var(--dim)",
    subtitleFontSize: 12,
    fontWeight: "normal",
    limit: 0,
  },
  text: { color: "var(--ink)" },
};
// With `ast`, Vega interprets its expressions: the page's policy forbids to evaluate texts.
const OPTIONS = { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: false, config: CONFIG };
const NARROW = 560;
const NARROWEST_PLOT = 150;
const WIDEST_PLOT = 850;
const SPARE = 3; // pixels by which an axis may grow when the plot's width changes

/** Return a part of a chart in the page's colors; its data stay as they are. */
function themed(part) {
  if (typeof part === "string") return COLORS[part] ?? part;
  if (Array.isArray(part)) return part.map(themed);
  if (part === null || typeof part !== "object") return part;
  const entries = Object.entries(part);
  return Object.fromEntries(entries.map(([name, value]) => [name, name === "data" ? value : themed(value)]));
}

/** Return the curves of runs in one panel as rows, as the charts of curves read them. */
function curveRows(runs, panel) {
  const rows = [];
  for (const id of runs) {
    const { panels, kept } = data.curves[id];
    const [steps, values] = panels[panel];
    const { method, seed } = data.runs[id];
    steps.forEach((step, i) => {
      rows.push({ method, run: seed, step, value: values[i], kept: panel > 0 && step === kept });
    });
  }
  return rows;
}

/** Return a chart with the widths of all its panels changed, which `change` maps. */
function withWidths(spec, change) {
  const changed = { ...spec };
  if (typeof spec.width === "number") changed.width = change(spec.width);
  for (const panels of ["hconcat", "vconcat"]) {
    if (spec[panels]) changed[panels] = spec[panels].map((one) => withWidths(one, change));
  }
  return changed;
}

/** Return the width that the panels of a chart take together, without axes and legends. */
function panelsWidth(spec) {
  if (spec.hconcat) return spec.hconcat.map(panelsWidth).reduce((sum, one) => sum + one, 0);
  if (spec.vconcat) return Math.max(...spec.vconcat.map(panelsWidth));
  return spec.width;
}

const drawn = new WeakMap(); // the view in each element

/** Draw a chart into an element, as wide as there is room, in place of an earlier one; `name` says what it shows. */
async function draw(place, spec, name) {
  const room = place.clientWidth - SPARE;
  if (room <= 0 || !window.vegaEmbed) return;
  drawn.get(place)?.finalize();
  const colored = themed(spec);
  // what axes and legends take shows only once they are drawn
  const first = await vegaEmbed(place, colored, OPTIONS);
  const natural = place.querySelector("svg").getBoundingClientRect().width;
  const plots = panelsWidth(spec);
  const wanted = Math.min(Math.max(room - (natural - plots), NARROWEST_PLOT), Math.max(WIDEST_PLOT, plots));
  first.finalize();
  const fitted = withWidths(colored, (width) => Math.floor((width * wanted) / plots));
  drawn.set(place, await vegaEmbed(place, fitted, { ...OPTIONS, tooltip: showTooltip }));
  // the place has a name, and tables have the numbers; the marks alone would be read out without either
  place.querySelector("svg").setAttribute("aria-hidden", "true");
  place.setAttribute("aria-label", name); // in place of the one that Vega gives
}

/** Show what is known of a mark beside the pointer. */
function showTooltip(_handler, event, _item, value) {
  const box = document.getElementById("tooltip");
  box.hidden = !value || typeof value !== "object";
  if (box.hidden) return;
  const entries = Object.entries(value).flatMap(([name, text]) => [
    element("dt", {}, name),
    element("dd", {}, String(text)),
  ]);
  box.replaceChildren(...entries);
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${Math.max(4, Math.min(event.clientX + 14, window.innerWidth - width - 8))}px`;
  box.style.top = `${Math.max(4, Math.min(event.clientY + 14, window.innerHeight - height - 8))}px`;
}

/** Return the chart of a group that has a value of a choice and is most like the present one otherwise. */
function nearest(group, present, name, value) {
  const alike = (one) => Object.keys(one.choices).filter((key) => one.choices[key] === present.choices[key]).length;
  const fitting = group.filter((one) => one.choices[name] === value);
  return fitting.reduce((best, one) => (alike(one) > alike(best) ? one : best));
}

/** A place on the page for the charts of one group, with a selection for each choice among them. */
class Figure {
  constructor(figure) {
    this.figure = figure;
    this.group = data.views[figure.dataset.group];
    this.view = this.group[0];
    this.drawn = Promise.resolve(); // what is drawn next waits for it
    this.plot = element("div", { class: "plot", role: "img" });
    this.title = element("strong", {});
    this.caption = element("span", {});
    this.selects = new Map();
    const choosers = element("div", { class: "choosers" });
    for (const name of Object.keys(this.view.choices)) {
      const values = [...new Set(this.group.map((one) => one.choices[name]))];
      if (values.length < 2) continue;
      const select = element("select", {}, ...values.map((value) => element("option", { value }, value)));
      select.addEventListener("change", () => this.show(nearest(this.group, this.view, name, select.value)));
      this.selects.set(name, select);
      choosers.append(element("label", {}, name, select));
    }
    const caption = element("figcaption", {}, this.title, this.caption);
    figure.append(...(choosers.hasChildNodes() ? [choosers] : []), caption, this.plot);
  }

  async show(view) {
    this.view = view;
    for (const [name, select] of this.selects) select.value = view.choices[name];
    this.title.textContent = view.title;
    this.caption.textContent = view.caption;
    const spec = (window.innerWidth < NARROW && view.narrow) || view.spec;
    const { runs, panel } = view.curves ?? {};
    const whole = runs ? { ...spec, data: { values: curveRows(runs, panel) } } : spec;
    this.drawn = this.drawn.then(() => draw(this.plot, whole, `${view.title}: ${view.caption}`));
    await this.drawn;
  }
}

async function startViews() {
  if (!window.vegaEmbed) {
    for (const one of document.querySelectorAll("figure.view")) one.remove();
    return;
  }
  document.body.append(element("dl", { id: "tooltip", hidden: "" }));
  const figures = [...document.querySelectorAll("figure.view")].map((one) => new Figure(one));
  let width = window.innerWidth;
  const redraw = afterPause(150, async () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    for (const one of figures) await one.show(one.view);
  });
  window.addEventListener("resize", redraw);
  for (const one of figures) await one.show(one.view);
}
