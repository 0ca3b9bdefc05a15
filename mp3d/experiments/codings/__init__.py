"""What each coding can carry at best: exact experiments without a network, for notebook `codings`."""
