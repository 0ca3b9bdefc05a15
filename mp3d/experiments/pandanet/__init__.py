"""PandaNet's tables and figures as experiments."""
