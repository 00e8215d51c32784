r"""Closed forms for the toy: who is learned first, when, how fast, and where the encoders end.

Notation: :math:`S_{kl} = E[x_k x_l^T]` and :math:`C_k = E[y x_k^T]`. :math:`|\cdot|` is the
largest singular value; for m = 1 that is the Euclidean norm. Let :math:`Z_k` be :math:`V_k`,
:math:`U_k` and :math:`W_k^T`, one below the other. "Tiny initialisation" means
:math:`Z_k Z_k^T = u_0^2 I` in the limit :math:`u_0` = `init_scale` -> 0.

Sources: [ZLS] Zhang, Latham, Saxe, *Understanding Unimodal Bias in Multimodal Deep Linear
Networks*, ICML 2024; [MIMO] arXiv:2511.06686. The laws of MIMO's toy dynamics (growth, order
threshold, norms, chattering) are this project's own.
"""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
