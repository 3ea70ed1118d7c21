"""What the runtime remembers: trajectories, their store, and search. Imports neither `icd` nor `icd_envs`."""
