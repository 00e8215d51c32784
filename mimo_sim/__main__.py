"""`python -m mimo_sim` is `mimo-sim`."""

from mimo_sim.cli import main

main()
