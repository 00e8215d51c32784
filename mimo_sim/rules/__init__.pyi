# The public names, listed once: type checkers read this file, and `__init__.py` loads from it.
from ._base import Rule as Rule
from ._base import Seen as Seen
from ._base import Weights as Weights
from ._base import of_encoders as of_encoders
from ._base import of_network as of_network
from ._named import available as available
from ._named import create as create
from ._named import registry as registry
from .cagrad import CAGrad as CAGrad
from .g_blending import GBlending as GBlending
from .gradnorm import GradNorm as GradNorm
from .linear_scalarization import LinearScalarization as LinearScalarization
from .mgda import MGDA as MGDA
from .mmpareto import MMPareto as MMPareto
from .ogm import OGM as OGM
from .pcgrad import PCGrad as PCGrad
from .stch import STCH as STCH

__all__: list[str]
