// The picture of a run as SVG text: encoder norms, losses and weights, one below the other.

// A and B in colours of Okabe and Ito, which stay apart in every common form of colour blindness.
// B is dashed too.
const LIGHT = { A: "#0072B2", B: "#D55E00", joint: "#222222", text: "#444444", grid: "#dddddd", paper: "#ffffff" };
const DARK = { A: "#56B4E9", B: "#E69F00", joint: "#f2f2f2", text: "#c8c8c8", grid: "#3a3f45", paper: "#15181c" };
const DASHES = ["", ' stroke-dasharray="7 3"'];
const MARGIN = { left: 42, right: 16, top: 24, between: 26, bottom: 34 };

const fixed = (value) => (Math.round(value * 10) / 10).toString();

// About `count` round numbers from 0 to `end`.
function ticks(end, count) {
  const rough = end / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  return Array.from({ length: Math.floor(end / unit + 1e-9) + 1 }, (_, i) => i * unit);
}

// Where the step axis of a run ends.
function lastStep({ divergedAt, learned }, steps, own) {
  if (divergedAt >= 0) return Math.min(1.2 * divergedAt + 1, steps);
  const latest = Math.max(...learned.filter((time) => !Number.isNaN(time)), 0);
  return own && latest > 0 ? Math.min(2.5 * latest, steps) : steps;
}

// The heights of the three charts, for a panel of this height.
function chartHeights(height) {
  const free = height - MARGIN.top - 2 * MARGIN.between - MARGIN.bottom;
  return [0.46, 0.34, 0.2].map((part) => part * free);
}

function path(xs, ys, x, y) {
  let text = "";
  for (let i = 0; i < xs.length; i++) text += `${i ? "L" : "M"}${fixed(x(xs[i]))} ${fixed(y(ys[i]))}`;
  return text;
}

// One chart: its frame, and `y` from values to places.
function chart({ title, top, height, width, largest, colors, labels }) {
  const y = (value) => top + height * (1 - Math.min(Math.max(value, -0.1 * largest), 1.1 * largest) / largest);
  const lines = ticks(largest, height > 90 ? 4 : 2).map(
    (value) =>
      `<path d="M${MARGIN.left} ${fixed(y(value))}H${width - MARGIN.right}" stroke="${colors.grid}"/>` +
      `<text x="${MARGIN.left - 6}" y="${fixed(y(value) + 3.5)}" text-anchor="end">${Number(value.toPrecision(3))}</text>`,
  );
  const heading = `<text x="${MARGIN.left}" y="${fixed(top - 7)}" font-weight="600">${title}</text>`;
  return { y, frame: labels ? heading + lines.join("") : heading, bottom: top + height };
}

// What a panel shows. view: {run, theory, colors, width, height, end, largest, hidden, guess};
// `hidden` is the input whose curve is not shown yet, `guess` the step that the reader thinks of.
function panelSvg(view) {
  const { run, theory, colors, width, height, end, largest, hidden = null, guess = NaN } = view;
  const name = run.solver.name;
  const x = (step) => MARGIN.left + ((width - MARGIN.left - MARGIN.right) * Math.min(step, 1.05 * end)) / end;
  const [normHeight, lossHeight, sigmaHeight] = chartHeights(height);
  const lossTop = MARGIN.top + normHeight + MARGIN.between;
  const sigmaTop = lossTop + lossHeight + MARGIN.between;
  const frame = { width, colors, labels: true };
  const norms = chart({ ...frame, title: "Encoder norm", top: MARGIN.top, height: normHeight, largest: largest.norm });
  const losses = chart({ ...frame, title: "Loss", top: lossTop, height: lossHeight, largest: largest.loss });
  const weighted = name === "mimo";
  const sigmas = chart({
    ...frame,
    title: weighted ? "Weight sigma" : "Weight sigma: none here",
    top: sigmaTop, height: sigmaHeight, largest: 1, labels: weighted,
  });
  const line = (k, xs, ys, y) => `<path d="${path(xs, ys, x, y)}" stroke="${colors[NAMES[k]]}"${DASHES[k]}/>`;
  const seen = BOTH.filter((k) => k !== hidden);
  const curves = seen.map((k) => line(k, run.step, run.encoderNorm[k], norms.y));
  if (hidden === null) {
    curves.push(...BOTH.map((k) => line(k, run.step, run.lossUni[k], losses.y)));
    curves.push(`<path d="${path(run.step, run.lossMm, x, losses.y)}" stroke="${colors.joint}"/>`);
    if (weighted) curves.push(...BOTH.map((k) => line(k, run.step, run.sigma[k], sigmas.y)));
  } else {
    norms.frame += middle(lossTop + lossHeight / 2, "shown after your guess", width);
  }
  const marks = seen.filter((k) => !Number.isNaN(run.learned[k])).map((k) => {
    const row = run.step.indexOf(run.learned[k]);
    const place = `cx="${fixed(x(run.step[row]))}" cy="${fixed(norms.y(run.encoderNorm[k][row]))}"`;
    return `<circle ${place} r="4" fill="${colors[NAMES[k]]}" stroke="${colors.paper}"/>`;
  });
  const right = width - MARGIN.right;
  const clips = ["all", "past"].map(
    (part) =>
      `<clipPath id="${name}-${part}"><rect x="${MARGIN.left}" y="${MARGIN.top - 4}" height="${height}" ` +
      `width="${right - MARGIN.left}"/></clipPath>`,
  );
  return [
    ...clips,
    norms.frame, losses.frame, sigmas.frame,
    ...ticks(end, width > 420 ? 5 : 3).map(
      (step) =>
        `<path d="M${fixed(x(step))} ${fixed(sigmas.bottom)}v4" stroke="${colors.text}"/>` +
        `<text x="${fixed(Math.min(x(step), right - 14))}" y="${fixed(sigmas.bottom + 16)}" text-anchor="middle">` +
        `${step.toLocaleString("en")}</text>`,
    ),
    `<text x="${right}" y="${fixed(sigmas.bottom + 30)}" text-anchor="end">gradient step</text>`,
    `<g clip-path="url(#${name}-all)">${predictions(view, seen, x, norms, losses)}</g>`,
    `<g clip-path="url(#${name}-all)" fill="none" stroke-width="2" opacity="0.22" class="future">${curves.join("")}</g>`,
    `<g clip-path="url(#${name}-past)" fill="none" stroke-width="2">${curves.join("")}</g>`,
    `<g clip-path="url(#${name}-all)">${marks.join("")}</g>`,
    `<path class="cursor" d="M0 ${MARGIN.top}V${fixed(sigmas.bottom)}" stroke="${colors.text}" visibility="hidden"/>`,
    Number.isNaN(guess) ? "" : guessMark(x(guess), norms.bottom, colors),
    run.divergedAt >= 0 ? middle(MARGIN.top + normHeight / 2, `blows up at step ${stepNumber(run.divergedAt)}`, width) : "",
  ].join("");
}

const middle = (y, text, width) =>
  `<text x="${fixed((width + MARGIN.left) / 2)}" y="${fixed(y)}" text-anchor="middle" font-style="italic">${text}</text>`;

function guessMark(x, bottom, colors) {
  return (
    `<g class="guess"><path d="M${fixed(x)} ${MARGIN.top}V${fixed(bottom)}" stroke="${colors.joint}" stroke-width="2"/>` +
    `<circle cx="${fixed(x)}" cy="${fixed((MARGIN.top + bottom) / 2)}" r="9" fill="${colors.joint}"/>` +
    `<text x="${fixed(x)}" y="${fixed((MARGIN.top + bottom) / 2 + 3.5)}" text-anchor="middle" fill="${colors.paper}">?</text></g>`
  );
}

// Dotted: predicted times, final norms, and the plateau of the joint loss.
function predictions({ theory, colors, width, hidden = null }, seen, x, norms, losses) {
  const dotted = (d, color) => `<path d="${d}" stroke="${color}" stroke-width="1.4" stroke-dasharray="1.5 3"/>`;
  const across = (y) => `M${MARGIN.left} ${fixed(y)}H${width - MARGIN.right}`;
  const drawn = seen.flatMap((k) => {
    const color = colors[NAMES[k]];
    const lines = [];
    if (Number.isFinite(theory.times[k])) {
      lines.push(dotted(`M${fixed(x(theory.times[k]))} ${MARGIN.top}V${fixed(norms.bottom)}`, color));
    }
    if (Number.isFinite(theory.norms[k])) lines.push(dotted(across(norms.y(theory.norms[k])), color));
    return lines;
  });
  if (hidden === null && Number.isFinite(theory.plateau)) {
    drawn.push(dotted(across(losses.y(theory.plateau)), colors.joint));
  }
  return drawn.join("");
}

// The largest values on the axes, the same in both panels.
function largestValues(runs, predicted) {
  const ends = predicted.flatMap(({ norms }) => norms).filter(Number.isFinite);
  const usual = Math.max(...ends);
  const met = runs.flatMap(({ encoderNorm }) => encoderNorm.map((norm) => norm.reduce((a, b) => Math.max(a, b), 0)));
  const lost = runs.flatMap(({ lossUni }) => lossUni.map((loss) => loss.reduce((a, b) => Math.max(a, b), 0)));
  return {
    norm: 1.12 * Math.min(Math.max(usual, ...met), 2 * usual),
    loss: 1.08 * Math.min(Math.max(TARGET / 2, ...lost), TARGET),
  };
}

// `more` are further attributes.
const wrapped = (content, width, height, colors, more = "") =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ${more} ` +
  `font-family="system-ui, sans-serif" font-size="11" fill="${colors.text}">${content}</svg>`;

// What the lines mean.
function legendSvg(colors, y) {
  const entries = [
    ["A", colors.A, ""], ["B", colors.B, "7 3"], ["joint loss", colors.joint, ""], ["predicted", colors.text, "1.5 3"],
  ];
  let at = MARGIN.left;
  return entries.map(([text, color, dashes]) => {
    const entry =
      `<path d="M${at} ${y - 4}h24" stroke="${color}" stroke-width="2" stroke-dasharray="${dashes}"/>` +
      `<text x="${at + 30}" y="${y}">${text}</text>`;
    at += 44 + 5.6 * text.length;
    return entry;
  }).join("");
}

// Both panels, their titles and the settings as one file.
function wholeSvg(views, lines) {
  const [{ colors, width, height }] = views;
  const top = 40 + 16 * lines.length;
  const panels = views.map(
    (view, i) =>
      `<g transform="translate(${i * width} ${top})"><text x="${MARGIN.left}" y="-2" font-size="14" font-weight="700">` +
      `${ORDINARY[view.run.solver.name]}</text><g transform="translate(0 6)">${panelSvg(view)}</g></g>`,
  );
  const words = lines.map((text, i) => `<text x="${MARGIN.left}" y="${20 + 16 * i}">${text}</text>`);
  const all = [2 * width, top + height + 10];
  const paper = `<rect width="${all[0]}" height="${all[1]}" fill="${colors.paper}"/>`;
  return wrapped(paper + words.join("") + legendSvg(colors, 18 + 16 * lines.length) + panels.join(""), ...all, colors);
}
