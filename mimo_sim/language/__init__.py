"""A causal language model that reads sound and picture tokens before the text.

The model is frozen. Encoders turn a sound and a picture into tokens, and adapters in its linear
layers are trained: plain LoRA, or MokA, which knows of which modality a token is. It has a
training loop of its own, because a language model has no fusion network and no features to fuse.
"""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
