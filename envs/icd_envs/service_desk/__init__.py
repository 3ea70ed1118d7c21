"""Customer-service dialogues over a small database, with policies and simulated customers."""
