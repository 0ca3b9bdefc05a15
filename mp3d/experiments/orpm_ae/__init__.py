"""ORPM-AE's tables and figures as experiments."""
