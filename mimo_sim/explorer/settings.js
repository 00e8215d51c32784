// What the reader can set: ranges, words, presets, and the link that holds them all.

// Sliders with `log` go in equal ratios. `digits` significant digits are kept.
const SLIDERS = [
  {
    key: "contrast",
    label: "Correlation with the target, A over B",
    symbol: "|C_A| / |C_B|",
    help: "How strongly each input goes with the target. Joint training learns the stronger one first.",
    min: 0.2, max: 5, log: true,
  },
  {
    key: "explained",
    label: "Explained alone, B over A",
    symbol: "B alone / A alone",
    help: "How much of the target each input can predict alone. Above 1, B is the better one.",
    min: 0.2, max: 5, log: true,
  },
  {
    key: "rho",
    label: "Correlation between A and B",
    symbol: "rho",
    help: "0: the inputs are independent. Near 1 or -1: they carry almost the same.",
    min: -0.95, max: 0.95, log: false,
  },
  {
    key: "lam",
    label: "Penalty of MIMO",
    symbol: "lam",
    help: "How much the worst input counts. A mark below the slider shows the threshold lam*, where there is one.",
    min: 0.01, max: 1000, log: true,
  },
  {
    key: "mu",
    label: "Smoothing of MIMO",
    symbol: "mu",
    help: "In units of the loss. The smaller it is, the more sharply MIMO picks the worst input.",
    min: 0.0001, max: 1, log: true,
  },
  {
    key: "eta",
    label: "Step size",
    symbol: "eta",
    help: "The same for both trainings. Too large a step overshoots.",
    min: 1e-8, max: 1, log: true,
  },
  {
    key: "steps",
    label: "Number of steps",
    symbol: "steps",
    help: "How long both trainings last.",
    min: 100, max: 300000, log: true, whole: true,
  },
  {
    key: "scale",
    label: "Initial scale of weights",
    symbol: "u0",
    help: "The smaller it is, the longer the wait before anything is learned.",
    min: 1e-12, max: 0.3, log: true,
  },
];
const NUMBERS = [
  { key: "fA", label: "f* of A", min: -10, max: 10 },
  { key: "fB", label: "f* of B", min: -10, max: 10 },
];
const CHOICES = [
  {
    key: "rule",
    label: "How MIMO knows f*, the best loss of each input alone",
    options: {
      exact: "exact: the true value",
      zero: "zero: takes 0 for it",
      running_minimum: "running minimum: the best loss so far",
      constant: "constant: two numbers of your own",
    },
  },
  {
    key: "heads",
    label: "How the uni-modal heads move under MIMO",
    options: {
      gradient: "gradient: downhill on MIMO's objective",
      plain: "plain: each downhill on its own loss",
    },
  },
  {
    key: "axis",
    label: "Step axis of the two panels",
    options: { same: "the same for both", own: "each its own, up to where it has learned" },
  },
];

const FIGURE_1 = {
  contrast: 2.25, explained: 16 / 9, rho: 0, lam: 10, mu: 0.01, eta: 0.00097, steps: 30000, scale: 1e-9,
  rule: "exact", fA: 0.5, fB: 0.5, heads: "gradient", axis: "same",
};

const PRESETS = {
  "Superficial preference (Figure 1)": {
    about: "A is learned first, although B explains more. MIMO with a large penalty turns the order round.",
    set: {},
  },
  "Fair race": {
    about: "Both inputs correlate equally with the target. Joint training learns them together.",
    set: { contrast: 1 },
  },
  "Identical modalities": {
    about: "Nothing tells the inputs apart. MIMO gives each the weight 1/2: it is a plain sum of losses.",
    set: { contrast: 1, explained: 1 },
  },
  "Too little penalty": {
    about: "lam is below the threshold lam*: B grows faster than before, but A still comes first.",
    set: { lam: 1 },
  },
  "Too much penalty": {
    about: "The larger lam, the smaller the steps must be, and the more of them are needed. With steps of this size MIMO blows up.",
    set: { lam: 1000 },
  },
  Chattering: {
    about: "mu is so small that a step overshoots: the weights sigma jump to and fro from step to step.",
    set: { lam: 30, mu: 0.001, steps: 3000 },
  },
  "Wrong f*": {
    about: "MIMO takes 0 for the best losses. A's loss can never come down to 0, so A keeps the weight for ever.",
    set: { rule: "zero" },
  },
};

// A value as it may be used: in its range and rounded. NaN where it is not allowed.
function allowed(control, value) {
  const number = typeof value === "string" && value.trim() === "" ? NaN : Number(value);
  if (!(number >= control.min && number <= control.max)) return NaN;
  return control.whole && !Number.isInteger(number) ? NaN : number;
}

// Between the place of a slider, 0 to 1000, and its value to three digits.
function valueAt(control, place) {
  const part = place / 1000;
  const { min, max, log, whole } = control;
  const exact = log ? min * (max / min) ** part : min + (max - min) * part;
  const rounded = log ? Number(exact.toPrecision(3)) : Math.round(exact * 100) / 100;
  const value = Math.min(Math.max(rounded, min), max);
  return whole ? Math.round(value) : value;
}

function placeOf({ min, max, log }, value) {
  const part = log ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min);
  return Math.round(1000 * part);
}

// The part of an address behind #, with everything that is not as in Figure 1.
function encode(settings) {
  const parts = Object.keys(FIGURE_1).filter((key) => settings[key] !== FIGURE_1[key]);
  return parts.map((key) => `${key}=${settings[key]}`).join("&");
}

// The settings in such a part of an address, and a sentence for each thing that is not allowed.
function decode(text) {
  const settings = { ...FIGURE_1 };
  const complaints = [];
  for (const part of text.replace(/^#/, "").split("&").filter(Boolean)) {
    const [key, value = ""] = part.split("=");
    const choice = CHOICES.find((each) => each.key === key);
    const control = [...SLIDERS, ...NUMBERS].find((each) => each.key === key);
    const number = control ? allowed(control, value) : NaN;
    if (choice && Object.hasOwn(choice.options, value)) settings[key] = value;
    else if (!Number.isNaN(number)) settings[key] = number;
    else complaints.push(`The link says ${part}, which is not allowed; it is left out.`);
  }
  return { settings, complaints };
}
