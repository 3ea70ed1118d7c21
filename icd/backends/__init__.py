"""Things that answer chat requests: an OpenAI-compatible endpoint, a local model, an environment's own expert."""
