"""What networks are asked to draw onto a picture: each coding an encode and decode pair, none knows a network."""
