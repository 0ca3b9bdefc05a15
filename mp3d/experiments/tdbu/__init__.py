"""TDBU as experiments: what its released outputs tell."""
