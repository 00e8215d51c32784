from . import encoders as encoders
from .encoders import make_encoder as make_encoder
from .late import LateFusion as LateFusion
