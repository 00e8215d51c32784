// The page: settings to runs to pictures, words and files.

const $ = (id) => document.getElementById(id);
const PANELS = ["vanilla", "mimo"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const page = { settings: { ...FIGURE_1 }, runs: [], views: [], theory: null, revealed: false, playing: null, frames: [] };

// ------------------------------------------------ computing and drawing

// The curve that rises second, or the one that never does.
function second({ learned: [a, b] }) {
  const never = (time) => (Number.isNaN(time) ? Infinity : time);
  return never(b) >= never(a) ? 1 : 0;
}

function compute() {
  const { settings } = page;
  const problem = makeProblem(settings);
  page.theory = predict(problem, settings);
  page.runs = [VANILLA, mimoOf(settings)].map((solver) => {
    const run = simulate(problem, solver, settings);
    const { divergedAt } = run; // a run that blows up is recorded more densely
    return divergedAt < 0 ? run : simulate(problem, solver, settings, recordEvery(divergedAt));
  });
}

function panelHeight() {
  if (matchMedia("(max-width: 45rem)").matches) return Math.min(Math.max(0.42 * innerHeight, 260), 330);
  return Math.min(Math.max(0.6 * innerHeight, 320), 460);
}

function draw() {
  const { settings, runs, theory } = page;
  const predicted = PANELS.map((name) => theory[name]);
  const largest = largestValues(runs, predicted);
  const guessing = $("predicting").checked;
  const colors = dark.matches ? DARK : LIGHT;
  page.views = runs.map((run, i) => {
    const name = PANELS[i];
    const width = Math.max($(name).clientWidth, 240);
    const end = lastStep(run, settings.steps, !guessing && settings.axis === "own");
    const hidden = guessing && !page.revealed ? second(run) : null;
    const guess = guessing ? ($(`guess-${name}`).value / 1000) * end : NaN;
    return { run, theory: predicted[i], colors, width, height: panelHeight(), end, largest, hidden, guess };
  });
  for (const view of page.views) {
    const picture = $(view.run.solver.name).querySelector(".picture");
    picture.innerHTML = wrapped(panelSvg(view), view.width, view.height, view.colors, 'aria-hidden="true"');
  }
  $("legend").innerHTML = wrapped(legendSvg(colors, 14), 328, 20, colors);
  showCursor();
}

// Everything anew: after a change of the settings.
function update() {
  const started = performance.now();
  compute();
  draw();
  describe();
  page.frames.push(performance.now() - started);
  if (page.frames.length > 500) page.frames.shift();
}

// The address as a link to the settings. Browsers refuse hundreds of changes in a few seconds.
function keepLink() {
  const link = encode(page.settings);
  history.replaceState(null, "", link ? `#${link}` : location.pathname + location.search);
}

let waiting = false;
function updateSoon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    update();
  });
}

// ------------------------------------------------ words and numbers

let speaking = null;
function describe() {
  const { settings, runs, theory } = page;
  const hidden = page.views.some((view) => view.hidden !== null);
  const secret = "the second curve is hidden, make your guess.";
  const wild = runs.some(({ divergedAt, chatters }) => divergedAt >= 0 || chatters);
  // The pictures follow the slider at once; spoken words and the address when it rests.
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    speaking = null;
    keepLink();
    runs.forEach((run, i) => say(`${PANELS[i]}-verdict`, hidden ? `${ORDINARY[PANELS[i]]}: ${secret}` : raceVerdict(run)));
    say("step-verdict", stepVerdict(settings, theory, runs));
  }, page.frames.length ? 250 : 0);
  $("live").classList.toggle("alarm", wild);
  $("safe").hidden = !wild && settings.eta <= theory.safeStep;
  $("conditions").replaceChildren(...conditions(settings, theory).map((text) => element("li", {}, text)));
  $("python").textContent = pythonLines(settings, runs);
  markThreshold(theory.threshold);
  tabulate();
}

// A sentence for the eye and for screen readers, which read it out when it changes.
function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function markThreshold(threshold) {
  const control = SLIDERS.find(({ key }) => key === "lam");
  const inside = threshold >= control.min && threshold <= control.max;
  $("mark-lam").hidden = !inside;
  if (!inside) return;
  $("mark-lam").firstChild.textContent = `▲ lam* = ${number(threshold)}`;
  $("mark-lam").firstChild.style.left = `${Math.min(Math.max(placeOf(control, threshold) / 10, 12), 88)}%`;
}

function tabulate() {
  const tables = page.views.map(({ run, theory, hidden }, i) => {
    const at = Math.min(Math.round(stepShown() / run.every), run.step.length - 1);
    const shown = (values) => values.map((value, k) => (k === hidden ? "?" : value));
    const here = `at step ${stepNumber(run.step[at])}`;
    const rows = [
      ["Learned at step", ...shown(run.learned.map(stepNumber))],
      ["Predicted step", ...shown(theory.times.map(stepNumber))],
      ["Predicted final norm", ...shown(theory.norms.map((norm) => (Number.isNaN(norm) ? "–" : number(norm))))],
      [`Encoder norm ${here}`, ...shown(run.encoderNorm.map((norm) => number(norm[at])))],
      [`Loss of the input alone ${here}`, ...(hidden === null ? run.lossUni.map((loss) => number(loss[at])) : ["?", "?"])],
    ];
    if (PANELS[i] === "mimo") rows.push([`Weight sigma ${here}`, ...(hidden === null ? run.sigma.map((sigma) => number(sigma[at])) : ["?", "?"])]);
    const caption = `${ORDINARY[PANELS[i]]}${hidden === null ? `; joint loss ${here}: ${number(run.lossMm[at])}` : ""}`;
    return table(caption, rows);
  });
  $("tables").replaceChildren(...tables);
}

function table(caption, rows) {
  const head = element("tr", {}, ...["", ...NAMES].map((text) => (text ? element("th", { scope: "col" }, text) : element("td"))));
  const body = rows.map(([name, ...values]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...values.map((value) => element("td", {}, value))),
  );
  return element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body));
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ------------------------------------------------ the step that is shown

const stepShown = () => ($("shown").value / 1000) * Math.max(...page.views.map((view) => view.end));

function showCursor() {
  const step = stepShown();
  for (const { run, width, end: own } of page.views) {
    const picture = $(run.solver.name).querySelector("svg");
    const reached = Math.min(step / own, 1) * (width - MARGIN.left - MARGIN.right);
    picture.querySelector(`#${run.solver.name}-past rect`).setAttribute("width", reached);
    const cursor = picture.querySelector(".cursor");
    cursor.setAttribute("transform", `translate(${MARGIN.left + reached} 0)`);
    cursor.setAttribute("visibility", step < own ? "visible" : "hidden");
  }
  $("shown").setAttribute("aria-valuetext", `step ${stepNumber(step)}`);
  $("shown-value").textContent = stepNumber(step);
  $("guess-vanilla-value").textContent = stepNumber(page.views[0].guess);
  $("guess-mimo-value").textContent = stepNumber(page.views[1].guess);
}

const SECONDS = 6; // of the animation
function play() {
  if (page.playing !== null) return pause();
  let last = performance.now();
  let part = Number($("shown").value) >= 1000 ? 0 : Number($("shown").value);
  $("play").textContent = "Pause";
  const frame = (now) => {
    part = Math.min(part + (now - last) / SECONDS, 1000);
    last = now;
    $("shown").value = part;
    showCursor();
    tabulate();
    if (part >= 1000) pause();
    else page.playing = requestAnimationFrame(frame);
  };
  page.playing = requestAnimationFrame(frame);
}

function pause() {
  if (page.playing !== null) cancelAnimationFrame(page.playing);
  page.playing = null;
  $("play").textContent = "Play";
}
