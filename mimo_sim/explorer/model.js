// From settings to a problem, and from a problem to two runs. The steps themselves are `run` of
// the generated engine. Lists have one entry for modality A and one for B.

const POINTS = 600; // recorded steps of a run, about
const TARGET = 2; // E[y^2]
const BOTH = [0, 1];

// Two correlated scalar inputs, B of unit variance, and a target without noise. `contrast` is
// |C_A| / |C_B|, and `explained` what B explains alone over what A explains alone.
function makeProblem({ contrast, explained, rho }) {
  const root = Math.sqrt(explained);
  const share = (TARGET * (1 - rho * rho)) / (1 - 2 * rho * root + explained); // what A explains
  const spread = [contrast * root, 1]; // standard deviations of the inputs
  const moment = [
    [spread[0] ** 2, rho * spread[0]],
    [rho * spread[0], 1],
  ];
  const cross = [spread[0] * Math.sqrt(share), Math.sqrt(explained * share)];
  const alone = BOTH.map((k) => cross[k] / moment[k][k]);
  const determinant = spread[0] ** 2 * (1 - rho * rho);
  const joint = BOTH.map((k) => {
    const other = 1 - k;
    return (cross[k] * moment[other][other] - cross[other] * moment[other][k]) / determinant;
  });
  const optima = BOTH.map((k) => (TARGET - cross[k] * alone[k]) / 2);
  return { moment, cross, alone, joint, optima };
}

// What MIMO takes for f*, before the first step.
function firstEstimate(problem, { rule, constants }) {
  if (rule === "exact") return problem.optima;
  if (rule === "running_minimum") return [Infinity, Infinity];
  return rule === "zero" ? [0, 0] : constants;
}

const VANILLA = { name: "vanilla", lam: 0, mu: 1, rule: "exact", heads: "plain" };

function mimoOf(settings) {
  const { lam, mu, rule, heads, fA, fB } = settings;
  return { name: "mimo", lam, mu, rule, heads, constants: [fA, fB] };
}

// State and constants of a run, as the rows of the engine's tables.
function tables(problem, solver, eta, scale) {
  const { modalities, rows, columns } = ENGINE;
  const values = { flips: 0, bad: 0 };
  for (let k = 0; k < modalities; k++) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        values[`Z${(k * rows + i) * columns + j}`] = i === j ? scale : 0;
      }
    }
    values[`base${k}`] = firstEstimate(problem, solver)[k] - problem.optima[k];
    values[`sigma${k}`] = NaN; // the first step has no change before it
    values[`change${k}`] = 0;
    values[`peak${k}`] = 0;
  }
  const fixed = {
    joint0: problem.joint[0],
    joint1: problem.joint[1],
    uni0: problem.alone[0],
    uni1: problem.alone[1],
    lam: solver.lam,
    rate: 1 / solver.mu,
    gradient: solver.heads === "gradient" ? 1 : 0,
    plain: solver.heads === "plain" ? eta : 0,
    hold: solver.rule === "running_minimum" ? 0 : Infinity,
    keep: 1,
    keep_head: 1,
    momentum: 0,
    eta,
    ceiling: ENGINE.blow_up * TARGET,
  };
  problem.moment.flat().forEach((value, i) => (fixed[`S${i}`] = value));
  const column = (names, from) =>
    Float64Array.from(names, (name) => {
      if (!(name in from)) throw new Error(`no value for ${name}`);
      return from[name];
    });
  return [column(ENGINE.state, values), column(ENGINE.constants, fixed)];
}

// How often a run of so many steps is recorded.
function recordEvery(steps) {
  return Math.max(1, Math.ceil(steps / POINTS));
}

// One run, recorded as `mimo_sim.simulate(..., width=inf, record_every=every)` records it.
function simulate(problem, solver, { eta, steps, scale }, every = recordEvery(steps)) {
  const count = Math.ceil(steps / every) + 1;
  const width = ENGINE.recorded.length;
  const table = new Float64Array(count * width);
  const divergedAt = run(...tables(problem, solver, eta, scale), steps, every, table);
  const kept = divergedAt < 0 ? count : Math.ceil(divergedAt / every);
  const at = Object.fromEntries(ENGINE.recorded.map((name, i) => [name, i]));
  const column = (name) => Float64Array.from({ length: kept }, (_, row) => table[row * width + at[name]]);
  const norm = (k, i) => {
    const first = (k * ENGINE.rows + i) * ENGINE.columns;
    return Float64Array.from({ length: kept }, (_, row) => {
      let sum = 0;
      for (let j = first; j < first + ENGINE.columns; j++) sum += table[row * width + j] ** 2;
      return Math.sqrt(sum);
    });
  };
  const excessUni = BOTH.map((k) => column(`excess${k}`));
  const result = {
    solver,
    every,
    divergedAt,
    step: Float64Array.from({ length: kept }, (_, row) => Math.min(row * every, steps)),
    lossMm: column("excess_mm"), // the target has no noise: the least joint loss is 0
    lossUni: BOTH.map((k) => excessUni[k].map((excess) => excess + problem.optima[k])),
    excessUni,
    gap: BOTH.map((k) => column(`gap${k}`)),
    sigma: BOTH.map((k) => column(`sigma${k}`)),
    headNorm: BOTH.map((k) => norm(k, 0)),
    uniHeadNorm: BOTH.map((k) => norm(k, 1)),
    encoderNorm: BOTH.map((k) => norm(k, 2)),
    flips: column("flips"),
  };
  return { ...result, ...measures(result, steps) };
}

// Half-times as `mimo_sim.half_times` measures them, and what makes them doubtful.
function measures({ step, encoderNorm, flips, divergedAt }, steps) {
  const last = step.length - 1;
  const halfTimes = encoderNorm.map((norm) => {
    const final = norm[last] ** 2;
    if (divergedAt >= 0 || !(final >= 2 * norm[0] ** 2 && final > 0)) return NaN;
    return step[norm.findIndex((value) => value ** 2 >= final / 2)];
  });
  let late = last;
  while (late > 0 && step[late] > 0.9 * steps) late--;
  const drifts = encoderNorm.map((norm) => {
    const squares = norm.subarray(late).map((value) => value ** 2);
    return (Math.max(...squares) - Math.min(...squares)) / Math.max(norm[last] ** 2, Number.MIN_VALUE);
  });
  const firstFlip = flips.findIndex((count) => count > 0);
  const settled = drifts.map((drift) => drift <= 0.05);
  return {
    halfTimes,
    // half of the final norm says nothing while that still changes
    learned: halfTimes.map((time, k) => (settled[k] ? time : NaN)),
    moving: divergedAt < 0 && !settled.every(Boolean),
    chatters: flips[last] >= ENGINE.many_flips,
    firstFlip: firstFlip < 0 ? NaN : step[firstFlip],
  };
}
