"""Learning the strategy library: scenario generation and strategies for improvement, in turn (arXiv 2408.07238)."""
