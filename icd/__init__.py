"""A cheap LLM agent that acts like an expensive one: in-context distillation with agreement cascades."""
