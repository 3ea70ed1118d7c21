"""The console: pages for operators about what a store holds, and what they decide about it."""
