"""What goes wrong with what comes from outside, said so that a reader can mend it."""


class Mp3dError(Exception):
    """Every error that mp3d raises on purpose."""


class BadInput(Mp3dError, ValueError):
    """Input that cannot be used: names where it stands, which field, what was found, what was expected.

    Parameters
    ----------
    where : file, function or notebook, e.g. "poses.json" or "PINet.refine"
    field : the field or argument, e.g. "poses" or "bodies[2].joints19"
    found, expected : as short as they can be said
    """

    def __init__(self, where: object, field: str, found: object, expected: object):
        super().__init__(f"{where}: {field}: found {found}, expected {expected}")
        self.where, self.field, self.found, self.expected = str(where), field, found, expected

    def __reduce__(self):  # so that it survives the way back from a worker process
        return type(self), (self.where, self.field, self.found, self.expected)


class MissingData(Mp3dError, FileNotFoundError):
    """Data that the reader has to supply; the message says where anyone gets it."""
