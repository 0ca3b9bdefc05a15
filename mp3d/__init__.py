"""Five papers on monocular multi-person 3D human pose: same scenes, same metrics, verdicts.

`mp3d.papers` holds one module a paper, to be read beside it; `mp3d.synthetic` makes people who
interact, so that everything runs without a download; `mp3d.metrics`, `mp3d.study` and `mp3d.claims`
turn a run into a verdict for each claim of a paper; the notebooks show it all. `mp3d check` says
whether this machine is ready.

Importing `mp3d` alone is cheap: it imports neither torch nor any of its own modules.
"""

__version__ = "0.1.0"
