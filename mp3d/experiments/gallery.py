"""What the synthetic people do, to be looked at: scenes for `plots.scene_sheet`."""

import numpy as np

from mp3d.camera import Camera
from mp3d.scene import Person, Scene
from mp3d.synthetic import worlds
from mp3d.synthetic.body import forward, sample_body
from mp3d.synthetic.motion import ACTIONS, Draw, Gait, walk


def actions(seed: int = 0, moments: int = 2) -> tuple[list[Scene], list[str]]:
    """Each action of one person at moments 1.2 s apart, seen from the front and 40 degrees aside; scenes and titles."""
    camera = Camera(1500, 1500, 500, 500, 1000, 1000, translation=np.array([0.0, 900, 4500]))
    angle = np.deg2rad(180 - 40)  # people look along z, away from a camera that looks along z
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    scenes, titles = [], []
    for number, name in enumerate(["walk", *ACTIONS]):
        rng = np.random.default_rng([seed, number])
        body, t = sample_body(rng, (1, 1)), rng.uniform(0, 5) + 1.2 * np.arange(moments)[None]
        draw = Draw(rng, 1)
        pose = walk(draw, body, t, Gait.draw(draw, body)) if name == "walk" else ACTIONS[name](draw, body, t)
        for points in forward(body, pose)[0, :, :17]:
            person = Person.of(camera.to_camera(points @ turn.T), camera)
            scenes.append(Scene(camera, (person,), kind=name))
            titles.append(name)
    return scenes, titles


def interactions(seed: int = 0, examples: int = 1) -> tuple[list[Scene], list[str]]:
    """Some scenes of each kind of interaction of the world `duet`; scenes and titles."""
    scenes = [s for kind in worlds.KINDS for s in worlds.scenes("duet", examples, seed, "test", kinds=[kind])]
    return scenes, [scene.kind.replace("_", " ") for scene in scenes]
