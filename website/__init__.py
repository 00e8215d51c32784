"""The documentation site: `python -m website` builds it from docs/, notebooks/ and docstrings."""
