"""PI-Net's own experiment from its authors' files: trained on MuCo-3DHP, tested on MuPoTS-3D, PoseNet's poses in both.

    python -m mp3d.experiments.pinet_original MuCo-3DHP_with_posenent_result_filter.json \\
        MuPoTS-3D_with_posenet_result.json --out runs/pinet_original

`data_manifest.yaml` (muco3dhp, mupots3d) says where the files are. The row "input" needs no training: it must print
3DMPPE's row of Table 2, else the files are not the authors'. The paper's schedule is 25 epochs at batch 4, half a
million steps: hours on a GPU, days on two cores; `--steps` shortens it, a killed run goes on where it stopped.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from mp3d.data.threedmppe import Refinable, refinable
from mp3d.errors import BadInput
from mp3d.files import write
from mp3d.metrics.errors import mpjpe, pa_mpjpe
from mp3d.papers import pinet
from mp3d.papers.pinet import PINet, PINetConfig, Profile, Sequences
from mp3d.published import load

METRICS = {"mpjpe": ("T2_mpjpe", mpjpe), "pa_mpjpe": ("T2_pa", pa_mpjpe)}


def read(path: Path, config: PINetConfig) -> tuple[list[Refinable], Sequences]:
    """One of PI-Net's files, and its people as sequences; `BadInput` for a file without any PoseNet pose."""
    images = list(refinable(path))
    if not images:
        raise BadInput(path, "keypoints_cam_posenet", "in no annotation", "PoseNet's pose of each person")
    truth, boxes = [image.scene.xyz for image in images], [image.boxes for image in images]
    return images, pinet.sequences([image.poses for image in images], config, truth, boxes)


def train(path: Path, config: PINetConfig, size: Profile, out: Path, seed: int = 0) -> PINet:
    """PI-Net trained on one of its files, read from `out` where it is already there."""
    kept = out / "network.pt"
    if not kept.exists():
        out.mkdir(parents=True, exist_ok=True)
        pinet.train(read(path, config)[1], config, size, seed, out=out).save(kept)
    return PINet.load(kept, config)


def table2(path: Path, model: PINet) -> pd.DataFrame:
    """PI-Net's Table 2: a row a metric and method, here and as printed; a column a video, and "AVG", by instances; mm.

    The protocol is the released code's: 17 joints with the pelvis, rigid alignment, ground-truth boxes and roots, also
    people who are not valid, no matching.
    """
    images, people = read(path, model.config)
    video = np.repeat([image.scene.sequence for image in images], [len(image.poses) for image in images])
    true = np.concatenate([image.scene.xyz for image in images])
    poses = {"input": np.concatenate([image.poses for image in images]), "refined": model.predict(people).numpy()}
    rows = {}
    for metric, (table, measure) in METRICS.items():
        for name, pred in poses.items():
            values = pd.Series(measure(pred.astype(float), true))
            row = values.groupby(video, sort=False).mean()
            rows[metric, f"{name}, here"] = {**row, "AVG": values.mean()}
        for name, method in {"input": "3DMPPE", "refined": "PI-Net"}.items():
            printed = load("pinet").row(f"{table}/{method}")
            rows[metric, f"{name}, paper"] = {
                f"T{column}" if column[0] == "S" else column: v for column, v in printed.items()
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["metric", "mm"])


def main(
    muco: Annotated[Path, typer.Argument(help="MuCo-3DHP_with_posenent_result_filter.json, to train on")],
    mupots: Annotated[Path, typer.Argument(help="MuPoTS-3D_with_posenet_result.json, to test on")],
    out: Annotated[Path, typer.Option(help="folder for the network and the table")] = Path("runs/pinet_original"),
    steps: Annotated[int | None, typer.Option(help="training steps [default: the paper's]")] = None,
    seed: Annotated[int, typer.Option(help="of weights and batches")] = 0,
) -> None:
    """Train PI-Net on its authors' files and print its Table 2 beside the paper's."""
    size, config = pinet.PROFILES["paper"], PINetConfig(order="near2d")  # the released code's order
    if steps is not None:
        size = replace(size, fit=replace(size.fit, steps=steps))
    print(
        f"{size.fit.steps} steps of batch {size.batch}; `benchmarks/pinet.py` says how many a second this machine does"
    )
    table = table2(mupots, train(muco, config, size, out, seed))
    write(out / "table_2.csv", table.to_csv(lineterminator="\n").encode())
    print(table.round(1).to_string())


if __name__ == "__main__":
    typer.run(main)
