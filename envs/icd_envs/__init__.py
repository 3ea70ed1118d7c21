"""Environments where agents act: tasks, worlds, experts. Imports neither `icd` nor `icd_memory`."""
