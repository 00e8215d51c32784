from .figures import JOINT_COLOR as JOINT_COLOR
from .figures import METHOD_COLORS as METHOD_COLORS
from .figures import MODALITY_COLORS as MODALITY_COLORS
from .figures import draw_convergence as draw_convergence
from .figures import draw_figure1 as draw_figure1
from .figures import style as style
from .figures import write as write
