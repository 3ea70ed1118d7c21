"""Many episodes: collecting demonstrations, comparing methods on the same tasks, statistics, report."""
