from . import encoders as encoders
from ._base import FusionNetwork as FusionNetwork
from ._registry import available as available
from ._registry import get_network as get_network
from .encoders import make_encoder as make_encoder
from .late import LateFusion as LateFusion
