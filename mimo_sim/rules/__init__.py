"""Rules of the field as solvers of the toy, one file each: how gradients are weighed in a step.

A new file with a subclass of :class:`Rule` is found by itself: ``simulate``, ``sweep`` and the
command line then know its name. A rule of your own needs no file: give it to ``simulate``.

>>> from mimo_sim import rules
>>> "mgda" in rules.available()
True
>>> rules.create("mmpareto", gamma=1.0)
MMPareto(gamma=1.0)
"""

from mimo_sim import _extras

__getattr__, __dir__, __all__ = _extras.attach(__name__, __file__)
