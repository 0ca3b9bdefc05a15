"""SMAP as experiments: trained networks, their scores, associations step by step, real data."""
