# The public names, listed once: type checkers read this file, and `__init__.py` loads from it.
from . import benchmark as benchmark
from . import course as course
from . import datasets as datasets
from . import dynamics as dynamics
from . import explorer as explorer
from . import generators as generators
from . import methods as methods
from . import networks as networks
from . import objective as objective
from . import plots as plots
from . import rules as rules
from . import solvers as solvers
from . import studies as studies
from . import sweeps as sweeps
from . import testing as testing
from . import theory as theory
from . import training as training
from .dynamics import half_time_ratio as half_time_ratio
from .dynamics import half_times as half_times
from .dynamics import load as load
from .dynamics import rerun as rerun
from .dynamics import save as save
from .dynamics import simulate as simulate
from .dynamics import simulate_ensemble as simulate_ensemble
from .errors import ChatteringWarning as ChatteringWarning
from .errors import DivergenceError as DivergenceError
from .errors import GenerationError as GenerationError
from .errors import NonFiniteError as NonFiniteError
from .errors import OutsideTheoryError as OutsideTheoryError
from .errors import UnconvergedWarning as UnconvergedWarning
from .methods import MIMOLoss as MIMOLoss
from .problem import LateFusionProblem as LateFusionProblem
from .rules import MGDA as MGDA
from .rules import OGM as OGM
from .rules import STCH as STCH
from .rules import CAGrad as CAGrad
from .rules import GBlending as GBlending
from .rules import GradNorm as GradNorm
from .rules import LinearScalarization as LinearScalarization
from .rules import MMPareto as MMPareto
from .rules import PCGrad as PCGrad
from .solvers import MIMO as MIMO
from .solvers import Vanilla as Vanilla
from .sweeps import sweep as sweep

__version__: str
__all__: list[str]
