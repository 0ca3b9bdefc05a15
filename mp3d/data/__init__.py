"""Readers, one a format; each converts to MPI17, mm, y down at the door."""
