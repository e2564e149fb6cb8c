// Tables: a button in each header sorts, and a field above a long table filters its rows.

const LONG_TABLE = 8;
const UNITS = { ms: 0.001, s: 1, min: 60, h: 3600, B: 1, kB: 1e3, MB: 1e6, GB: 1e9 };
const inOrder = new Intl.Collator("en", { numeric: true }).compare;

/** Return the number that a cell starts with, in seconds or bytes where it has such a unit; NaN if none. */
function numberIn(text) {
  const plain = text.replaceAll(",", "").replace("\u2212", "-");
  const number = Number.parseFloat(plain);
  const unit = plain.match(/^[-+]?[\d.e+-]+ (ms|s|min|h|B|kB|MB|GB)(?: (\d+) (s|min))?$/);
  if (!unit) return number;
  return number * UNITS[unit[1]] + (unit[2] ? Number(unit[2]) * UNITS[unit[3]] : 0);
}

/** Compare two cells: as numbers in a column of numbers, where cells without one come last, as texts. */
function compareCells(one, other, isText, sign) {
  const texts = [one.textContent, other.textContent];
  if (isText) return sign * inOrder(...texts);
  const [a, b] = texts.map(numberIn);
  if (Number.isNaN(a) && Number.isNaN(b)) return sign * inOrder(...texts);
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
  return sign * (a - b);
}

/** Sort a table by a column: ascending, then descending, then as it was. */
function sortBy(table, header, original) {
  const column = [...header.parentElement.children].indexOf(header);
  const next = { ascending: "descending", descending: null }[header.getAttribute("aria-sort")];
  const direction = next === undefined ? "ascending" : next;
  for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
  const rows = [...original];
  if (direction) {
    header.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const isText = header.classList.contains("text");
    rows.sort((one, other) => compareCells(one.cells[column], other.cells[column], isText, sign));
  }
  table.tBodies[0].append(...rows);
}

function makeSortable(table) {
  const original = [...table.tBodies[0].rows];
  for (const header of table.tHead.rows[0].cells) {
    const button = element("button", { type: "button" }, ...header.childNodes);
    button.addEventListener("click", () => sortBy(table, header, original));
    header.replaceChildren(button);
  }
}

function makeFilterable(table) {
  const rows = [...table.tBodies[0].rows];
  const field = element("input", { type: "search", placeholder: "Words in a row" });
  const shown = element("span", { role: "status" });
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let matching = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      matching += Number(!row.hidden);
    }
    shown.textContent = words.length ? `${matching} of ${rows.length} rows` : "";
  });
  const label = element("label", { class: "filter" }, "Filter", field, shown);
  table.closest(".scroll").before(label);
}

function startTables() {
  for (const table of document.querySelectorAll("main table")) {
    if (table.tBodies[0].rows.length > 1) makeSortable(table);
    if (table.tBodies[0].rows.length > LONG_TABLE) makeFilterable(table);
  }
}
