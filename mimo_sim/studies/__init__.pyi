from . import convergence as convergence
from . import figure1 as figure1
from . import maps as maps
from . import race as race
from . import scatter as scatter
from . import score as score
from . import zls as zls
