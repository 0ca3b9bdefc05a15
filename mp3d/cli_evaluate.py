"""`mp3d evaluate`: predictions in a data set's own format, scored by its protocol."""

from pathlib import Path
from typing import Annotated

import typer

from mp3d.errors import BadInput
from mp3d.files import write

evaluate_app = typer.Typer(no_args_is_help=True, help="Score predictions by a data set's protocol.")

PROTOCOLS = ("official", "tdbu", "smap")


@evaluate_app.command()
def mupots(
    root: Annotated[Path, typer.Argument(help="the folder MultiPersonTestSet, or the one that holds it")],
    pred_3d: Annotated[Path, typer.Option(help=".mat, one variable an image (TS1_img_000000): people x 17 x 3 mm")],
    pred_2d: Annotated[
        Path | None, typer.Option(help="likewise, people x 17 x 2 px, in the same order [not read for tdbu]")
    ] = None,
    matched: Annotated[bool, typer.Option("--matched", help="score only the people who were found")] = False,
    absolute: Annotated[bool, typer.Option("--absolute", help="do not subtract the root: 3DPCK_abs")] = False,
    csv: Annotated[
        Path | None, typer.Option(help="write the table to this file, the protocol in its first line, after #")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="official; tdbu: ddddwee1's Python port, which TDBU uses; smap: SMAP's 15 joints")
    ] = "official",
) -> None:
    """MuPoTS-3D: 3DPCK of each video, equal to the official MATLAB evaluation, and what it rests on."""
    where = "mp3d evaluate mupots"
    if protocol not in PROTOCOLS:
        raise BadInput(where, "--protocol", protocol, ", ".join(PROTOCOLS))
    if pred_2d is None and protocol != "tdbu":
        raise BadInput(where, "--pred-2d", "nothing", f"the file that the matching of protocol {protocol} needs")

    from mp3d.data import mupots as data
    from mp3d.metrics import mupots as metric

    videos = metric.truth(root, data.present(root))
    if protocol == "tdbu":
        errors = metric.tdbu(videos, pred_3d, relative=not absolute)
    else:
        score = {"official": metric.official, "smap": metric.smap}[protocol]
        errors = score(videos, pred_2d, pred_3d, relative=not absolute)
    table = errors.pck(matched)
    if csv is not None:
        try:
            write(csv, f"# {table.attrs['protocol']}\n{table.to_csv()}".encode())
        except OSError as error:
            raise BadInput(where, "--csv", f"{csv}: {error.strerror}", "a file that can be written") from None

    def show(frame) -> str:
        return frame.to_string(float_format="{:.2f}".format, na_rep="-")

    if len(videos) < len(data.SEQUENCES):
        print(f"only {len(videos)} of {len(data.SEQUENCES)} videos are there: not the benchmark's number\n")
    print("3DPCK in percent\n" + show(table))
    print("\nmeans, with the 95 % interval of Total over videos\n" + show(errors.averages(matched)))
    if protocol == "smap" and absolute:
        print(f"\nPCK_root, pooled over people, at most 150 mm: {metric.pck_root(errors.pairs, matched):.2f}")
    counts = errors.counts().sum()
    print(
        f"\npeople annotated: {counts['annotated']}, missed: {counts['missed']}; extra predictions: {counts['extra']}"
    )
    print("\nprotocol")
    for line in table.attrs["protocol"].split("; "):
        print(f"  {line}")
