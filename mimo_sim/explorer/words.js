// Numbers, verdicts and exports as text.

const NAMES = ["A", "B"];
const ORDINARY = { vanilla: "Joint training", mimo: "MIMO" };

function number(value, digits = 3) {
  if (Number.isNaN(value)) return "unknown";
  if (value === Infinity) return "never";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.0001 || size >= 1e7)) return Number(value.toPrecision(digits)).toExponential().replace("e+", "e");
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
}

function stepNumber(value) {
  if (Number.isNaN(value)) return "–";
  return value === Infinity ? "never" : Math.round(value).toLocaleString("en");
}

// "2.25 times as much", or both ways round where the ratio is below one.
function comparison(ratio, verb) {
  if (Math.abs(ratio - 1) < 0.0005) return `A and B ${verb.both} equally`;
  const [more, times] = ratio > 1 ? [0, ratio] : [1, 1 / ratio];
  return `${NAMES[more]} ${verb.one} ${number(times)} times as ${verb.how} as ${NAMES[1 - more]}`;
}

function conditions(settings, theory) {
  const first = NAMES[theory.first];
  const most = NAMES[theory.most];
  const tied = Math.abs(settings.contrast - 1) < 0.0005;
  const correlate = { one: "correlates", both: "correlate", how: "strongly with the target" };
  const explain = { one: "alone explains", both: "explain", how: "much of the target" };
  const lines = [
    `${comparison(settings.contrast, correlate)}${tied ? "." : `, so joint training learns ${first} first.`}`,
    `${comparison(1 / settings.explained, explain)}.`,
    theory.holds
      ? `This is a superficial preference: ${first} comes first, although ${most} explains more.`
      : "There is no superficial preference: what is learned first also explains at least as much.",
  ];
  return [...lines, penaltyVerdict(settings, theory)];
}

function penaltyVerdict({ lam, rule }, { threshold, most, rates }) {
  const best = NAMES[most];
  const leader = rates[0] === rates[1] ? "both at the same rate" : `${NAMES[rates[1] > rates[0] ? 1 : 0]} fastest`;
  if (rule !== "exact") return `With this estimate of f*, MIMO starts by growing ${leader}.`;
  if (threshold === 0) return "No penalty is needed for the order: the input that explains most already comes first, or no later.";
  if (threshold === Infinity) return "No penalty turns the order round: mu is too large for that.";
  const where = lam > threshold ? `above: ${best} grows first` : "below: the order stays";
  return `MIMO turns the order round above the penalty lam* = ${number(threshold)}. Here lam = ${number(lam)}, ${where}.`;
}

function stepVerdict({ eta, lam, mu }, theory, runs) {
  const safe = `${number(roundedDown(theory.safeStep))} is safe`;
  if (runs.some(({ divergedAt }) => divergedAt >= 0)) return `The step size ${number(eta)} is too large; ${safe}.`;
  const chattering = runs.find(({ chatters }) => chatters);
  if (chattering) {
    const count = chattering.flips[chattering.flips.length - 1];
    return (
      `The weights sigma chatter: they jump to and fro ${stepNumber(count)} times. The step size ${number(eta)} is too ` +
      `large for mu = ${number(mu)} and lam = ${number(lam)}; ${safe}. Results depend on rounding errors.`
    );
  }
  if (eta > theory.safeStep) return `The step size ${number(eta)} works here, but only ${safe} for certain.`;
  return `The step size ${number(eta)} is safe; ${number(theory.safeStep)} would be the largest that certainly is.`;
}

// A step size to two digits that is not larger.
function roundedDown(value) {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Number((Math.floor(value / unit + 1e-9) * unit).toPrecision(2));
}

function raceVerdict({ solver, learned: times, moving, divergedAt, every, step }) {
  const name = ORDINARY[solver.name];
  if (divergedAt >= 0) return `${name} blows up at step ${stepNumber(divergedAt)}.`;
  const learned = BOTH.filter((k) => !Number.isNaN(times[k]));
  const still = moving ? " It was still changing at the end: raise the number of steps." : "";
  if (!learned.length) return `${name} learns neither input in ${stepNumber(step[step.length - 1])} steps.${still}`;
  if (learned.length === 1) return `${name} learns only ${NAMES[learned[0]]}, at step ${stepNumber(times[learned[0]])}.${still}`;
  const [first, second] = times[1] < times[0] ? [1, 0] : [0, 1];
  const [early, late] = [times[first], times[second]];
  if (late - early <= every) return `${name} learns both inputs together, at step ${stepNumber(early)}.`;
  return (
    `${name} learns ${NAMES[first]} at step ${stepNumber(early)} and ${NAMES[second]} at step ${stepNumber(late)}, ` +
    `${number(late / early)} times as late.`
  );
}

// ------------------------------------------------ exports

function csv(runs) {
  const columns = "method,step,loss_mm,loss_A,loss_B,encoder_norm_A,encoder_norm_B,sigma_A,sigma_B";
  const lines = runs.flatMap(({ solver, step, lossMm, lossUni, encoderNorm, sigma }) =>
    Array.from(step, (at, row) => {
      const weights = solver.name === "mimo" ? [sigma[0][row], sigma[1][row]] : ["", ""];
      const values = [lossMm[row], lossUni[0][row], lossUni[1][row], encoderNorm[0][row], encoderNorm[1][row]];
      return [solver.name, at, ...values, ...weights].join(",");
    }),
  );
  return [columns, ...lines].join("\n") + "\n";
}

// A number as Python reads it: the same float64.
const python = (value) => (Number.isInteger(value) && Math.abs(value) < 1e15 ? `${value}.0` : `${value}`);

function pythonLines(settings, runs) {
  const { moment, cross } = makeProblem(settings);
  const list = (values) => `[${values.map(python).join(", ")}]`;
  const rule = settings.rule === "constant" ? `(${python(settings.fA)}, ${python(settings.fB)})` : `"${settings.rule}"`;
  return `import matplotlib.pyplot as plt
import mimo_sim as ms

problem = ms.LateFusionProblem(
    [${list(moment[0])}, ${list(moment[1])}],
    ${list(cross)},
    ${python(TARGET)},
    names=("A", "B"),
)
methods = {
    "Joint training": ms.Vanilla(heads="plain"),
    "MIMO": ms.MIMO(
        lam=${python(settings.lam)}, mu=${python(settings.mu)}, f_star=${rule}, heads="${settings.heads}"
    ),
}


def train(method):
    try:
        return ms.simulate(
            problem,
            method,
            step_size=${python(settings.eta)},
            steps=${settings.steps},
            init_scale=${python(settings.scale)},
            width=float("inf"),
            record_every=${Math.min(...runs.map(({ every }) => every))},
        )
    except ms.DivergenceError as error:
        return error.trajectory  # up to where it blew up


runs = {name: train(method) for name, method in methods.items()}
figure, axes = plt.subplots(3, 2, sharex=True, figsize=(11, 8))
for column, (name, run) in zip(axes.T, runs.items()):
    for k, (color, line) in enumerate([("#0072B2", "-"), ("#D55E00", "--")]):
        for axis, measure in zip(column, ("encoder_norm", "loss_uni", "sigma")):
            axis.plot(run.step, run[measure][:, k], line, color=color, label="AB"[k])
            axis.set_ylabel(measure)
    column[1].plot(run.step, run.loss_mm, color="black", label="joint")
    column[1].legend()
    column[0].set_title(name)
    column[2].set_xlabel("step")
figure.savefig("mimo_explorer.png")
`;
}
