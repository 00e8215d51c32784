"""Engines that train the toy, one file each."""
