"""What the runtime remembers: trajectories, their store, search over them. Imports neither `icd` nor `icd_envs`."""
