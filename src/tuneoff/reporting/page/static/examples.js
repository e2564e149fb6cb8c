// The test rows with every method's answers: a page of rows at a time, filtered, and the most different ones first.

const ROWS_ON_A_PAGE = { labels: 10, texts: 5 };
const LONG_INPUT = 700;
const ALL_SEEDS = "all";
const ANY = "";
const GAP = 0.1;
const ADDRESS = "#examples?";
const TYPING_PAUSE = 150;

const lower = (text) => text.toLowerCase();

/** Return the methods and baselines of a train size; those that are not trained are there at every size. */
function shownContenders(task, trainSize) {
  return task.contenders.filter((one) => one.trainSize === null || one.trainSize === trainSize);
}

/** Return the places of a contender's runs of a seed, or of all seeds; none if it has no run of the seed. */
function runsOf(contender, seed) {
  if (seed === ALL_SEEDS || !contender.seeds.length) return [...contender.scores.keys()];
  const place = contender.seeds.indexOf(Number(seed));
  return place < 0 ? [] : [place];
}

/** Return a contender's score on each row, as the mean over its runs of the seed; NaN where it has none. */
function meanScores(task, contender, seed) {
  const runs = runsOf(contender, seed).map((run) => contender.scores[run]);
  return Float64Array.from(task.rows, (_, row) => {
    let sum = 0;
    let count = 0;
    for (const scores of runs) {
      if (scores[row] !== null) {
        sum += scores[row];
        count += 1;
      }
    }
    return count ? sum / count / task.scale : NaN;
  });
}

/** Return by how much the highest and the lowest of some scores differ on each row. */
function spread(task, scores) {
  return Float64Array.from(task.rows, (_, row) => {
    let low = Infinity;
    let high = -Infinity;
    for (const one of scores) {
      if (one[row] < low) low = one[row];
      if (one[row] > high) high = one[row];
    }
    return high > low ? high - low : 0;
  });
}

/** Return a test of a row: whether one contender is better there than another, as the reader has chosen. */
function pairTest(task, better, worse, gap) {
  if (task.areLabels) return (row) => (!better || better[row] > 0.5) && (!worse || worse[row] < 0.5);
  if (better && worse) return (row) => better[row] - worse[row] > gap;
  return () => true;
}

/** Return a test of a row: whether each word is in its input, its reference or, for texts, in an answer. */
function wordTest(task, contenders, words) {
  if (!words.length) return () => true;
  const columns = [task.references];
  if (!task.areLabels) columns.push(...contenders.flatMap((one) => one.answers));
  const inputs = task.inputs?.map(lower);
  const texts = task.texts.map(lower);
  const hits = words.map((word) => texts.map((text) => text.includes(word)));
  return (row) =>
    words.every((word, i) => inputs?.[row].includes(word) || columns.some((places) => hits[i][places[row]]));
}

/** Return the words that the reader looks for. */
function wordsOf(choice) {
  return choice.words.split(/\s+/).filter(Boolean);
}

/** Return the rows that match what the reader has chosen, as places in the task's columns, in order. */
function matchingRows(task, choice) {
  const contenders = shownContenders(task, choice.trainSize);
  const scores = new Map(contenders.map((one) => [one.name, meanScores(task, one, choice.seed)]));
  const better = scores.get(choice.better);
  const worse = scores.get(choice.worse);
  const isPair = pairTest(task, better, worse, choice.gap);
  const hasWords = wordTest(task, contenders, wordsOf(choice).map(lower));
  const hasLabel = (row) => choice.label === ANY || task.texts[task.references[row]] === choice.label;
  const isNamed = (row) => choice.row === ANY || task.rows[row] === Number(choice.row);
  const ofMethods = contenders.filter((one) => one.isMethod).map((one) => scores.get(one.name));
  const far = better && worse ? better.map((score, row) => score - worse[row]) : spread(task, ofMethods);
  const matches = (row) => isNamed(row) && hasLabel(row) && isPair(row) && hasWords(row);
  const rows = [...task.rows.keys()].filter(matches);
  return rows.sort((one, other) => far[other] - far[one] || one - other);
}

/** Return a text, of which a button shows the rest if it is long. */
function longText(text) {
  if (text.length <= LONG_INPUT) return [text];
  const button = element("button", { type: "button", class: "button" }, `Show all ${text.length} characters`);
  button.addEventListener("click", () => {
    const paragraph = button.parentElement;
    paragraph.tabIndex = -1;
    paragraph.replaceChildren(text);
    paragraph.focus();
  });
  return [`${text.slice(0, LONG_INPUT)}\u2026 `, button];
}

/** Return what a contender answered on a row: each different answer once, with its seeds where seeds differ. */
function answersOn(task, contender, runs, row) {
  const seedsOf = new Map();
  for (const run of runs) {
    const place = contender.answers[run][row];
    if (place >= 0) seedsOf.set(place, [...(seedsOf.get(place) ?? []), contender.seeds[run]]);
  }
  return [...seedsOf].map(([place, seeds]) => {
    const ofSeeds = seedsOf.size > 1 ? [" ", element("small", {}, `seed ${seeds.join(", ")}`)] : [];
    return element("p", {}, task.texts[place] || "(empty)", ...ofSeeds);
  });
}

/** Return a contender's score on a row in words. */
function scoreOn(task, contender, runs, row) {
  const scores = runs.map((run) => contender.scores[run][row]).filter((score) => score !== null);
  if (!scores.length) return element("dd", { class: "score" }, "no answer");
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length / task.scale;
  if (!task.areLabels) return element("dd", { class: "score" }, mean.toFixed(3));
  const tone = mean > 0.5 ? "right" : mean < 0.5 ? "wrong" : "even";
  const right = scores.filter((score) => score > 0).length;
  const text = scores.length > 1 ? `${right} of ${scores.length} right` : right ? "right" : "wrong";
  return element("dd", { class: `score ${tone}` }, text);
}

function exampleCard(task, choice, row) {
  const answers = shownContenders(task, choice.trainSize).map((one) => {
    const runs = runsOf(one, choice.seed);
    const isChosen = [choice.better, choice.worse].includes(one.name);
    return element(
      "div",
      isChosen ? { class: "chosen" } : {},
      element("dt", {}, one.note ? `${one.name} \u2020` : one.name),
      element("dd", { class: "given" }, ...answersOn(task, one, runs, row)),
      scoreOn(task, one, runs, row),
    );
  });
  const { trainSize, seed } = choice;
  const href = addressOf(task, { ...firstChoice(task), trainSize, seed, row: String(task.rows[row]) });
  const title = "The address of this row alone";
  const number = element("a", { href, title }, `Test row ${task.rows[row]}`);
  const card = element("li", {}, element("p", { class: "number" }, number));
  if (task.inputs) card.append(element("p", { class: "input" }, ...longText(task.inputs[row])));
  const reference = element("b", {}, ...longText(task.texts[task.references[row]]));
  card.append(element("p", { class: "reference" }, element("span", {}, "Reference"), reference));
  card.append(element("dl", { class: task.areLabels ? "answers labels" : "answers" }, ...answers));
  return card;
}

/** Return a sentence on how many rows match, and which these are. */
function countText(task, choice, count) {
  const rows = `${count.toLocaleString("en")} of ${task.rows.length.toLocaleString("en")} rows`;
  const words = wordsOf(choice).map((word) => `\u2018${word}\u2019`);
  const verbs = [
    choice.label !== ANY && `have the reference \u2018${choice.label}\u2019`,
    words.length && `contain ${words.join(" and ")}`,
  ].filter(Boolean);
  const subject = verbs.length ? `${rows} ${verbs.join(" and ")}` : rows;
  const more = [choice.row !== ANY && `test row ${choice.row}`, pairText(task, choice)].filter(Boolean);
  return more.length ? `${subject}: ${more.join(", ")}` : subject;
}

/** Return in words which methods are right and wrong, or how far they are apart; "" if none are chosen. */
function pairText(task, { better, worse, gap, seed }) {
  const ofSeed = seed === ALL_SEEDS ? "" : ` with seed ${seed}`;
  if (!task.areLabels) {
    if (better && worse) return `${better} is above ${worse} by more than ${gap}${ofSeed}`;
    if (better) return `choose under Worse what ${better} is to be better than`;
    return worse ? `choose under Better what is to be better than ${worse}` : "";
  }
  const parts = [better && `${better} is right`, worse && `${worse} is wrong`].filter(Boolean);
  const hasSeeds = task.contenders.some((one) => one.seeds.length > 1);
  const most = seed === ALL_SEEDS && hasSeeds ? " in most seeds" : ofSeed;
  return parts.length ? `${parts.join(" and ")}${most}` : "";
}

/** Return remarks on a task's examples: the prompt, what is missing, and methods with failed checks. */
function exampleNotes(task, choice) {
  const notes = [element("p", { class: "example-note" }, `Prompt: ${task.prompt}`)];
  if (task.rows.length < task.total) {
    const shown = `${task.rows.length.toLocaleString("en")} of ${task.total.toLocaleString("en")}`;
    const file = element("a", { href: task.file }, task.file.replace("../", ""));
    const text = `The page holds ${shown} test rows, those on which methods differ most. All are in `;
    notes.push(element("p", { class: "example-note" }, text, file, ", all answers in the folders of the runs."));
  }
  if (!task.inputs) {
    const text = "The inputs are not in this output folder, which an older version made; tuneoff run adds them.";
    notes.push(element("p", { class: "example-note" }, text));
  }
  const failed = shownContenders(task, choice.trainSize).filter((one) => one.note);
  if (failed.length) {
    const text = failed.map((one) => `${one.name} (${one.note})`).join(", ");
    notes.push(element("p", { class: "example-note" }, `\u2020 failed a health check: ${text}`));
  }
  return notes;
}

/** Return a labelled field; `options` are pairs of a value and a text. */
function choiceField(name, options, value) {
  const select = element("select", {}, ...options.map(([own, text]) => element("option", { value: own }, text)));
  select.value = value;
  return element("label", {}, name, select);
}

/** Return a labelled field into which a number is typed. */
function numberField(name, value, limits) {
  const input = element("input", { type: "number", min: 0, ...limits });
  input.value = value;
  return element("label", {}, name, input);
}

/** Return what can be chosen: train sizes, seeds, and labels, in order. */
function possible(task) {
  const of = (values) => [...new Set(values)];
  return {
    sizes: of(task.contenders.map((one) => one.trainSize).filter((size) => size !== null)),
    seeds: of(task.contenders.flatMap((one) => one.seeds)).sort((one, other) => one - other).map(String),
    labels: task.areLabels ? of(task.references.map((place) => task.texts[place])).sort(inOrder) : [],
  };
}

/** Return the fields by what they choose; those with nothing to choose from are hidden. */
function exampleFields(task, choice) {
  const names = shownContenders(task, choice.trainSize).map((one) => [one.name, one.name]);
  const { sizes, seeds, labels } = possible(task);
  const each = (values) => values.map((value) => [value, value]);
  const fields = {
    task: choiceField("Task", data.examples.map((one, i) => [i, one.task]), data.examples.indexOf(task)),
    trainSize: choiceField("Training rows", each(sizes), choice.trainSize),
    better: choiceField(task.areLabels ? "Right" : "Better", [[ANY, "any"], ...names], choice.better),
    worse: choiceField(task.areLabels ? "Wrong" : "Worse", [[ANY, "any"], ...names], choice.worse),
    gap: numberField("By more than", choice.gap, { max: 1, step: "any" }),
    label: choiceField("Reference", [[ANY, "any"], ...each(labels)], choice.label),
    seed: choiceField("Seed", [[ALL_SEEDS, "all"], ...each(seeds)], choice.seed),
    words: element("label", {}, "Words", element("input", { type: "search" })),
    row: numberField("Test row", choice.row, { placeholder: "any" }),
  };
  fields.words.lastChild.value = choice.words;
  fields.task.hidden = data.examples.length < 2;
  fields.trainSize.hidden = sizes.length < 2;
  fields.seed.hidden = seeds.length < 2;
  fields.gap.hidden = task.areLabels;
  fields.label.hidden = !task.areLabels;
  return fields;
}

/** Let no method be chosen against itself, and no difference before there are two. */
function limitPair(fields, choice) {
  for (const [own, other] of [["better", choice.worse], ["worse", choice.better]]) {
    for (const option of fields[own].lastChild.options) {
      option.disabled = option.value !== ANY && option.value === other;
    }
  }
  fields.gap.lastChild.disabled = !choice.better || !choice.worse;
}

/** Return what is chosen at first: all seeds of the largest train size. */
function firstChoice(task) {
  const trainSize = possible(task).sizes.at(-1) ?? null;
  return { trainSize, seed: ALL_SEEDS, better: ANY, worse: ANY, gap: GAP, label: ANY, words: "", row: ANY };
}

/** Return what is wanted as far as the task has it, and else what is chosen at first. */
function fitting(task, wanted) {
  const { sizes, seeds, labels } = possible(task);
  const choice = firstChoice(task);
  const take = (name, isThere) => {
    if (wanted[name] !== undefined && isThere(wanted[name])) choice[name] = wanted[name];
  };
  take("trainSize", (size) => sizes.includes(size));
  const names = shownContenders(task, choice.trainSize).map((one) => one.name);
  take("seed", (seed) => seeds.includes(seed));
  take("better", (name) => names.includes(name));
  take("worse", (name) => names.includes(name) && name !== choice.better);
  take("label", (label) => labels.includes(label));
  take("words", () => true);
  take("row", (row) => /^\d+$/.test(row));
  take("gap", (gap) => Number.isFinite(Number(gap)));
  return { ...choice, gap: Number(choice.gap) };
}

/** Return the address of a task's examples with all that differs from what is chosen at first. */
function addressOf(task, choice) {
  const first = Object.entries(firstChoice(task));
  const changed = first.map(([name, value]) => [name, choice[name], value]).filter(([, own, value]) => own !== value);
  const pairs = [["task", task.task], ...changed.map(([name, own]) => [name, own])];
  return ADDRESS + new URLSearchParams(pairs);
}

/** Return what the address names: a task, and what to choose there; null if it is of something else. */
function chosenByAddress() {
  if (!location.hash.startsWith(ADDRESS)) return null;
  const wanted = Object.fromEntries(new URLSearchParams(location.hash.slice(ADDRESS.length)));
  const task = data.examples.find((one) => one.task === wanted.task) ?? data.examples[0];
  return { task, choice: fitting(task, wanted) };
}

/** Show those of a task's examples that are chosen in the browser's place on the page. */
function showTask(place, task, choice) {
  const controls = element("div", { class: "example-controls", role: "group", "aria-label": "Choose examples" });
  const notes = element("div", {});
  const count = element("p", { class: "example-count", role: "status" });
  const cards = element("ol", { class: "examples" });
  const previous = element("button", { type: "button", class: "button" }, "Previous");
  const next = element("button", { type: "button", class: "button" }, "Next");
  const shown = element("span", {});
  const pages = element("nav", { class: "example-pages", "aria-label": "Pages of examples" }, previous, shown, next);
  const length = task.areLabels ? ROWS_ON_A_PAGE.labels : ROWS_ON_A_PAGE.texts;
  let rows = [];
  let start = 0;

  function showPage() {
    const end = Math.min(start + length, rows.length);
    cards.replaceChildren(...rows.slice(start, end).map((row) => exampleCard(task, choice, row)));
    shown.textContent = rows.length ? `${start + 1} to ${end} of ${rows.length.toLocaleString("en")}` : "";
    pages.hidden = !rows.length;
    previous.setAttribute("aria-disabled", String(start === 0));
    next.setAttribute("aria-disabled", String(end === rows.length));
  }

  function update() {
    rows = matchingRows(task, choice);
    start = 0;
    count.textContent = countText(task, choice, rows.length);
    showPage();
  }

  function turn(by) {
    if (start + by < 0 || start + by >= rows.length) return;
    start += by;
    showPage();
    count.scrollIntoView();
  }

  /** Show what is chosen now; the address then has it, too. */
  function follow() {
    history.replaceState(null, "", addressOf(task, choice));
    update();
  }

  function showFields() {
    const fields = exampleFields(task, choice);
    limitPair(fields, choice);
    for (const [name, label] of Object.entries(fields)) {
      const field = label.lastChild;
      const isTyped = field.tagName === "INPUT";
      const changed = () => {
        if (!field.isConnected) return; // typed just before the task was changed
        if (name === "task") {
          // a row's number and a reference mean nothing in another task
          const kept = { ...choice, words: fields.words.lastChild.value, row: ANY, label: ANY };
          changeTask(place, data.examples[Number(field.value)], kept);
          return place.querySelector("select").focus();
        }
        choice[name] = name === "gap" ? Number(field.value) : field.value;
        if (name === "trainSize") notes.replaceChildren(...exampleNotes(task, choice));
        limitPair(fields, choice);
        return follow();
      };
      field.addEventListener("input", isTyped ? afterPause(TYPING_PAUSE, changed) : changed);
    }
    controls.replaceChildren(...Object.values(fields));
  }

  previous.addEventListener("click", () => turn(-length));
  next.addEventListener("click", () => turn(length));
  showFields();
  notes.replaceChildren(...exampleNotes(task, choice));
  place.replaceChildren(controls, notes, count, cards, pages);
  update();
}

/** Show another task's examples, with what is chosen as far as that task has it. */
function changeTask(place, task, choice) {
  const kept = fitting(task, choice);
  history.replaceState(null, "", addressOf(task, kept));
  showTask(place, task, kept);
}

/** Show the examples that the address names; whether it names any. */
function followExamples(place) {
  const found = chosenByAddress();
  if (!found) return false;
  showTask(place, found.task, found.choice);
  place.closest("section").scrollIntoView();
  return true;
}

function startExamples() {
  const place = document.getElementById("example-browser");
  if (!place || !data.examples.length) return;
  window.addEventListener("hashchange", () => {
    if (followExamples(place)) place.querySelector(".examples a")?.focus({ preventScroll: true });
  });
  if (!followExamples(place)) showTask(place, data.examples[0], firstChoice(data.examples[0]));
}
