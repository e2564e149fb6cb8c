// Start everything. Without scripts the page has the same texts and tables.

/** Open what is folded around the element that the address names. */
function openTarget() {
  const target = document.getElementById(decoded(location.hash.slice(1)));
  for (const fold of target?.querySelectorAll(":scope > .fold") ?? []) fold.open = true;
}

/** Mark the section that is being read in the list of sections. */
function startContents() {
  const links = new Map();
  for (const link of document.querySelectorAll(".contents a")) links.set(link.hash.slice(1), link);
  const visible = new Set();
  const mark = (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) visible.add(target.id);
      else visible.delete(target.id);
    }
    // at the top of the page no section has come far enough
    const current = [...links.keys()].find((id) => visible.has(id)) ?? [...links.keys()][0];
    for (const [id, link] of links) {
      if (id === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  const observer = new IntersectionObserver(mark, { rootMargin: "-15% 0px -70% 0px" });
  for (const section of document.querySelectorAll("main > section")) observer.observe(section);
}

/** Open everything while the page is printed. */
function startPrinting() {
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
}

startTheme();
startTables();
startExamples();
startContents();
startPrinting();
window.addEventListener("hashchange", openTarget);
openTarget();
startViews().then(startRuns);
