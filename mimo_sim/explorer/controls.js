// The controls of the page: built from the tables of settings, and wired.

function sliderControl(control) {
  const { key, label, symbol, help } = control;
  const field = element("input", { type: "number", id: `${key}-number`, step: "any", min: control.min, max: control.max,
    "aria-describedby": `${key}-wrong` });
  const slider = element("input", { type: "range", id: key, min: 0, max: 1000, step: 5, "aria-describedby": `${key}-help` });
  const name = element("label", { for: key }, label, element("span", { class: "symbol" }, symbol));
  field.setAttribute("aria-label", `${label}, as a number`);
  const mark = element("div", { class: "mark", id: `mark-${key}`, "aria-hidden": "true", hidden: "" }, element("span"));
  slider.addEventListener("input", () => change(key, valueAt(control, Number(slider.value))));
  field.addEventListener("input", () => typed(control, field));
  return element("div", { class: "control" },
    element("div", { class: "head" }, name, field), slider, mark,
    element("p", { class: "wrong", id: `${key}-wrong` }), element("p", { class: "help", id: `${key}-help` }, help));
}

function numberControl(control) {
  const { key, label } = control;
  const field = element("input", { type: "number", id: `${key}-number`, step: "any", "aria-describedby": `${key}-wrong` });
  field.addEventListener("input", () => typed(control, field));
  return element("div", { class: "control constant" },
    element("div", { class: "head" }, element("label", { for: `${key}-number` }, label), field),
    element("p", { class: "wrong", id: `${key}-wrong` }));
}

function choiceControl({ key, label, options }) {
  const list = element("select", { id: key });
  for (const [value, text] of Object.entries(options)) list.append(element("option", { value }, text));
  list.addEventListener("change", () => change(key, list.value));
  return element("div", { class: "control" }, element("label", { for: key }, label), list);
}

function typed(control, field) {
  const value = allowed(control, field.value);
  const wrong = Number.isNaN(value);
  const range = `${control.whole ? "a whole number" : "a number"} from ${number(control.min)} to ${number(control.max)}`;
  field.setAttribute("aria-invalid", wrong);
  $(`${control.key}-wrong`).textContent = wrong ? `Enter ${range}.` : "";
  if (!wrong) change(control.key, value, field);
}

// One setting is new; `source` is the field that must not be written to while somebody types.
function change(key, value, source = null) {
  page.settings[key] = value;
  page.revealed = false;
  $("judgement").replaceChildren();
  show(source);
  updateSoon();
}

// The settings in the controls.
function show(source = null) {
  const { settings } = page;
  for (const control of [...SLIDERS, ...NUMBERS]) {
    const { key } = control;
    const field = $(`${key}-number`);
    if (field !== source) {
      field.value = Number(settings[key].toPrecision(4));
      field.removeAttribute("aria-invalid");
      $(`${key}-wrong`).textContent = "";
    }
    if ($(key)) {
      if (valueAt(control, Number($(key).value)) !== settings[key]) $(key).value = placeOf(control, settings[key]);
      $(key).setAttribute("aria-valuetext", number(settings[key]));
    }
  }
  for (const { key } of CHOICES) $(key).value = settings[key];
  for (const box of document.querySelectorAll(".constant")) box.hidden = settings.rule !== "constant";
  const link = encode(settings);
  for (const button of $("preset-buttons").children) {
    const preset = PRESETS[button.textContent];
    const chosen = encode({ ...FIGURE_1, ...preset.set, axis: settings.axis }) === link;
    button.setAttribute("aria-pressed", chosen);
    if (chosen) $("about").textContent = preset.about;
  }
  if (![...$("preset-buttons").children].some((button) => button.getAttribute("aria-pressed") === "true")) {
    $("about").textContent = "Settings of your own.";
  }
}

function choose(settings) {
  page.settings = settings;
  page.revealed = false;
  $("judgement").replaceChildren();
  $("shown").value = 1000;
  pause();
  show();
  updateSoon();
}

// The same flow time in smaller steps, as far as the number of steps allows.
function useSafeStep() {
  const { settings, theory } = page;
  const eta = roundedDown(theory.safeStep);
  const { min, max } = SLIDERS.find(({ key }) => key === "steps");
  const steps = Math.min(Math.max(Math.ceil((settings.steps * settings.eta) / eta), min), max);
  choose({ ...settings, eta, steps });
}

// ------------------------------------------------ predict first

function judge() {
  page.revealed = true;
  draw();
  describe();
  const sentences = page.views.map(({ run, guess }) => {
    const k = second(run);
    const time = run.learned[k];
    const start = `${ORDINARY[run.solver.name]}: you said step ${stepNumber(guess)}; ${NAMES[k]} `;
    if (Number.isNaN(time)) return `${start}is not learned in this run.`;
    const off = Math.round(guess - time);
    const far = Math.abs(off) <= run.every ? "just as you said" : `${stepNumber(Math.abs(off))} steps ${off > 0 ? "earlier" : "later"}`;
    return `${start}gets there at step ${stepNumber(time)}, ${far}.`;
  });
  $("judgement").replaceChildren(...sentences.map((text) => element("p", {}, text)));
}

function drag(name, event) {
  if (!$("predicting").checked || page.revealed || (event.type === "pointermove" && !event.buttons)) return;
  const view = page.views[PANELS.indexOf(name)];
  const box = $(name).querySelector("svg").getBoundingClientRect();
  const place = ((event.clientX - box.left) / box.width) * view.width - MARGIN.left;
  const part = place / (view.width - MARGIN.left - MARGIN.right);
  $(`guess-${name}`).value = 1000 * Math.min(Math.max(part, 0), 1);
  draw();
}

// ------------------------------------------------ exports

function save(name, content, type) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
  $("exported").textContent = `Saved ${name}.`;
}

function picture() {
  const { contrast, explained, rho, lam, mu, eta, scale, rule, heads } = page.settings;
  const lines = [
    `|C_A| / |C_B| = ${number(contrast)}, explained B / A = ${number(explained)}, rho = ${number(rho)}, step size ${number(eta)}, u0 = ${number(scale)}`,
    `MIMO: lam = ${number(lam)}, mu = ${number(mu)}, f* ${rule}, heads ${heads}`,
  ];
  const views = page.views.map((view) => ({ ...view, colors: LIGHT, width: 520, height: 460 }));
  return wholeSvg(views, lines);
}

function savePng() {
  const text = picture();
  const image = new Image();
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  image.onload = () => {
    const canvas = element("canvas", { width: 2 * image.width, height: 2 * image.height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => save("explorer.png", blob));
    URL.revokeObjectURL(address);
  };
  image.src = address;
}

async function copyLink() {
  let words = "The link is copied.";
  keepLink();
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    words = `Copy the address of this page: ${location.href}`;
  }
  $("exported").textContent = words;
}

// ------------------------------------------------ start

function load() {
  const { settings, complaints } = decode(location.hash);
  $("complaints").textContent = complaints.join(" ");
  choose(settings);
}

function start() {
  $("form").append(
    ...SLIDERS.map(sliderControl), ...CHOICES.slice(0, 1).map(choiceControl), ...NUMBERS.map(numberControl),
    ...CHOICES.slice(1).map(choiceControl));
  for (const [name, { set }] of Object.entries(PRESETS)) {
    const button = element("button", { type: "button" }, name);
    button.addEventListener("click", () => choose({ ...FIGURE_1, ...set, axis: page.settings.axis }));
    $("preset-buttons").append(button);
  }
  $("form").addEventListener("submit", (event) => event.preventDefault());
  $("safe").addEventListener("click", useSafeStep);
  $("play").addEventListener("click", play);
  $("shown").addEventListener("input", () => {
    pause();
    showCursor();
    tabulate();
  });
  $("predicting").addEventListener("change", () => {
    page.revealed = false;
    $("judgement").replaceChildren();
    $("predict").hidden = !$("predicting").checked;
    document.body.classList.toggle("predicting", $("predicting").checked);
    updateSoon();
  });
  $("reveal").addEventListener("click", judge);
  for (const name of PANELS) {
    $(`guess-${name}`).addEventListener("input", draw);
    for (const type of ["pointerdown", "pointermove"]) {
      $(name).querySelector(".picture").addEventListener(type, (event) => drag(name, event));
    }
  }
  $("save-svg").addEventListener("click", () => save("explorer.svg", picture(), "image/svg+xml"));
  $("save-png").addEventListener("click", savePng);
  $("save-csv").addEventListener("click", () => save("explorer.csv", csv(page.runs), "text/csv"));
  $("save-python").addEventListener("click", () => save("explorer.py", pythonLines(page.settings, page.runs), "text/x-python"));
  $("copy-link").addEventListener("click", copyLink);
  addEventListener("hashchange", load);
  let width = innerWidth; // the height alone changes all the time on phones
  addEventListener("resize", () => {
    if (innerWidth !== width) updateSoon();
    width = innerWidth;
  });
  dark.addEventListener("change", updateSoon);
  load();
}

start();
