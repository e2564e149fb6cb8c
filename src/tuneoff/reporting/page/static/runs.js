// A run's part of the page: its curve, record, versions, findings and files, at #run=<id>.

/** Return a list of names and values. */
function facts(pairs) {
  const rows = pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  return element("dl", { class: "facts" }, ...rows);
}

function findingsOf(run) {
  if (!run.findings.length) return element("p", {}, "Passed all health checks.");
  const items = run.findings.map(([level, check, evidence]) =>
    element("li", {}, element("span", { class: level }, `${level}: ${check}. `), evidence),
  );
  return element("ul", {}, ...items);
}

function filesOf(run) {
  return element("ul", {}, ...run.files.map(([name, href]) => element("li", {}, element("a", { href }, name))));
}

function versionsOf(run) {
  if (run.environment === null) return "";
  const summary = element("summary", {}, "Versions and machine");
  return element("details", {}, summary, facts(data.environments[run.environment]));
}

async function drawRun(plot, id, task) {
  const chart = data.runCharts[task];
  const isNarrow = window.innerWidth < NARROW;
  const panels = isNarrow ? chart.narrow.vconcat : chart.spec.hconcat;
  const filled = panels.map((panel, i) => ({ ...panel, data: { values: curveRows([id], i) } }));
  await draw(plot, { [isNarrow ? "vconcat" : "hconcat"]: filled, spacing: 24 }, `learning curve of ${id}`);
}

function showRun(id) {
  const run = data.runs[id];
  const part = document.getElementById("run");
  if (!run || !part) return;
  const title = element("h3", { tabindex: "-1" }, id);
  const plot = element("div", { class: "plot", role: "img" });
  part.replaceChildren(title, plot, facts(run.fields));
  if (run.failure) part.append(element("p", { class: "error" }, run.failure));
  part.append(element("h4", {}, "Findings"), findingsOf(run));
  part.append(element("h4", {}, "Files"), filesOf(run), versionsOf(run));
  part.hidden = false;
  if (data.curves[id].panels.some(([steps]) => steps.length)) drawRun(plot, id, run.task);
  else plot.remove();
  part.scrollIntoView();
  title.focus({ preventScroll: true });
}

function followHash() {
  const id = location.hash.startsWith("#run=") ? decoded(location.hash.slice(5)) : null;
  if (id) showRun(id);
}

/** Let what links to a run's record show the run on the page; the record is among its files. */
function startRuns() {
  for (const link of document.querySelectorAll("main td a")) {
    if (Object.hasOwn(data.runs, link.textContent)) link.href = `#run=${encodeURIComponent(link.textContent)}`;
  }
  window.addEventListener("hashchange", followHash);
  followHash();
}
