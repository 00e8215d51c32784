// The closed forms of `mimo_sim.theory` for two scalar inputs. Times are flow times: step size
// times steps. tests/explorer compares every function with its namesake in Python.

// How much a mode has grown along `renewed` after growth by exp(gain) along `old`: with scalar
// inputs it keeps its direction or turns round.
const turned = (gain, old, renewed) => (old * renewed < 0 ? -gain : gain);

// What B still has to learn once A is learned (learned = 0), or the other way round.
function residual({ moment, cross, alone }, learned) {
  const waiting = 1 - learned;
  return cross[waiting] - alone[learned] * moment[learned][waiting];
}

function preference({ cross, alone }) {
  const explained = BOTH.map((k) => alone[k] * cross[k]);
  const first = cross[1] > cross[0] ? 1 : 0;
  const most = explained[1] > explained[0] ? 1 : 0;
  return { first, most, explained, holds: cross[first] > cross[most] && explained[first] < explained[most] };
}

// Joint training; scale = null is the limit of a tiny initial scale, in units of ln(1/scale).
function learningTimes(problem, scale = null) {
  const { cross, alone, joint } = problem;
  const target = (plateau) => (scale === null ? 1 : Math.log(1 / scale) + Math.log(2 * Math.abs(plateau)) / 2);
  const waits = BOTH.map((k) => Math.max(target(alone[k]), 0) / cross[k]);
  const first = waits[1] < waits[0] ? 1 : 0;
  const second = 1 - first;
  const left = residual(problem, first);
  const gain = turned(cross[second] * waits[first], cross[second], left);
  const times = [];
  times[first] = waits[first];
  times[second] =
    Math.abs(left) <= 1e-12 * Math.max(...cross)
      ? Infinity
      : waits[first] + Math.max(target(joint[second]) - gain, 0) / Math.abs(left);
  return times;
}

function initialSigma(problem, { mu, rule, constants }) {
  const start = TARGET / 2;
  const gaps = firstEstimate(problem, { rule, constants }).map((f) => start - (f === Infinity ? start : f));
  const powers = gaps.map((gap) => Math.exp((gap - Math.max(...gaps)) / mu));
  return powers.map((power) => power / (powers[0] + powers[1]));
}

function growthRates(problem, solver) {
  const weights = initialSigma(problem, solver).map((sigma) => solver.lam * sigma);
  const power = solver.heads === "gradient" ? 2 : 1;
  return BOTH.map((k) => problem.cross[k] * Math.sqrt(1 + weights[k] ** power));
}

// The penalty above which MIMO (exact f*) learns the most explaining input first.
function orderThreshold(problem, mu, heads) {
  const best = preference(problem).most;
  const squared = problem.cross.map((c) => c ** 2);
  const other = 1 - best;
  if (squared[other] <= squared[best]) return 0;
  const sigma = mu > 0 ? initialSigma(problem, { mu, rule: "exact" }) : BOTH.map((k) => (k === best ? 1 : 0));
  const power = heads === "gradient" ? 2 : 1;
  const lead = squared[best] * sigma[best] ** power - squared[other] * sigma[other] ** power;
  return lead <= 0 ? Infinity : ((squared[other] - squared[best]) / lead) ** (1 / power);
}

// When MIMO makes each encoder emerge (exact f*, mu -> 0), in units of ln(1/scale).
function mimoLearningTimes(problem, lam) {
  const leader = preference(problem).most;
  const rates = problem.cross.map((c, k) => (k === leader ? c * Math.sqrt(1 + lam ** 2) : c));
  const first = rates[1] > rates[0] ? 1 : 0;
  const second = 1 - first;
  const left = residual(problem, first);
  const late = Math.hypot(left, lam * problem.cross[second]);
  const times = [];
  times[first] = 1 / rates[first];
  let gain = rates[second] * times[first];
  if (lam === 0) gain = turned(gain, problem.cross[second], left);
  times[second] = late > 0 ? times[first] + (1 - gain) / late : Infinity;
  return times;
}

function finalEncoderNorms({ joint, alone }, lam) {
  return BOTH.map((k) => Math.sqrt(lam > 0 ? Math.hypot(joint[k], alone[k]) : Math.abs(joint[k])));
}

const mapSizes = ({ joint, alone }) => BOTH.map((k) => Math.max(Math.abs(joint[k]), Math.abs(alone[k])));

function squaredSlope(problem, k, remaining) {
  const scale = 2 * Math.SQRT2 * problem.cross[k] ** 2 * mapSizes(problem)[k];
  return scale * remaining ** 2 * (1 - remaining);
}

// L, an estimate of the largest curvature on the way from the start to the optimum.
function smoothness(problem, { lam, mu, heads }, scale) {
  const { moment, cross } = problem;
  const start = 3 * scale ** 2; // |V|^2 + |U|^2 + |W|^2
  const [a, b] = [moment[0][0], moment[1][1]];
  const whole = (a + b) / 2 + Math.hypot((a - b) / 2, moment[0][1]);
  const stretch = mapSizes(problem).map((size) => 2 * size * (lam > 0 ? Math.SQRT2 : 1) + start);
  let curvature = whole * Math.max(...stretch) + Math.max(...cross) + whole * start;
  if (lam > 0 || heads === "plain") {
    const own = BOTH.map((k) => moment[k][k] * stretch[k] + cross[k] + moment[k][k] * start);
    curvature += Math.max(lam, heads === "plain" ? 1 : 0) * Math.max(...own);
  }
  if (lam > 0) {
    const slopes = BOTH.map(
      (k) => squaredSlope(problem, k, 2 / 3) + (cross[k] + moment[k][k] * start) ** 2 * start,
    );
    curvature += (lam * Math.max(...slopes)) / (2 * mu);
  }
  return curvature;
}

const defaultStepSize = (problem, solver, scale) => 0.5 / smoothness(problem, solver, scale);

// The step size above which sigma flips from step to step once the gaps have met.
function chatteringThreshold(problem, lam, mu) {
  const start = problem.optima.map((optimum) => TARGET / 2 - optimum);
  const lower = Math.min(...start);
  let smallest = Infinity;
  for (let i = 1; i < 512; i++) {
    let inverse = 0;
    for (const k of BOTH) {
      const remaining = Math.sqrt((lower * i) / 512 / start[k]);
      inverse += 1 / Math.max(squaredSlope(problem, k, remaining), 2.2250738585072014e-308);
    }
    smallest = Math.min(smallest, ((2 * mu) / lam) * inverse);
  }
  return smallest;
}

// Everything that is predicted for both runs of a setting, times in steps. NaN: no law is known.
function predict(problem, settings) {
  const { eta, scale, lam, mu, rule, heads } = settings;
  const mimo = mimoOf(settings);
  const joint = learningTimes(problem, scale);
  return {
    ...preference(problem),
    rates: growthRates(problem, mimo),
    threshold: rule === "exact" ? orderThreshold(problem, mu, heads) : NaN,
    safeStep: Math.min(defaultStepSize(problem, VANILLA, scale), defaultStepSize(problem, mimo, scale)),
    chattersAbove: chatteringThreshold(problem, lam, mu),
    vanilla: {
      times: joint.map((time) => time / eta),
      norms: finalEncoderNorms(problem, 0),
      // the joint loss while only the first input is learned
      plateau: problem.optima[joint[1] < joint[0] ? 1 : 0],
    },
    mimo: {
      times: emergence(problem, mimo).map((time) => (time * Math.log(1 / scale)) / eta),
      norms: heads === "plain" ? [NaN, NaN] : finalEncoderNorms(problem, lam),
      plateau: NaN,
    },
  };
}

// When MIMO makes the encoders emerge, in units of ln(1/scale). Both times are known only where
// one input has nearly all the weight at the start; otherwise that of the fastest is.
function emergence(problem, mimo) {
  const clear = Math.max(...initialSigma(problem, mimo)) > 0.99;
  if (clear && mimo.rule === "exact" && mimo.heads === "gradient") {
    return mimoLearningTimes(problem, mimo.lam);
  }
  const rates = growthRates(problem, mimo);
  return rates.map((rate) => (rate > (1 - 1e-9) * Math.max(...rates) ? 1 / rate : NaN));
}
