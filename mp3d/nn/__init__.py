"""Networks that are nobody's contribution here: the papers build on them."""
