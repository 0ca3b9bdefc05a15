"""Pictures as pictures: contact sheets, people drawn onto them, maps laid over them. Arrays of bytes, not plotly."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Num, UInt8
from PIL import Image, ImageColor, ImageDraw, ImageFont

from mp3d.errors import BadInput
from mp3d.plots.style import BLUE, PEOPLE, VARIANTS, VERMILION
from mp3d.scene import HIDDEN, VISIBLE
from mp3d.skeletons import MPI17, Skeleton

_TEXT, _GAP = 17, 6  # px: of a line of a title, between tiles


def sheet(
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], titles: Sequence[str] = (), columns: int = 4, width: int = 1000
) -> UInt8[np.ndarray, "H W 3"]:
    """Pictures in rows, on white, each with a title below it; smaller ones are enlarged without smoothing.

    Parameters
    ----------
    pictures : (h, w, 3) of one shape of sides each; scaled to the columns
    titles : none, or one a picture; may have several lines
    columns : pictures in a row
    width : px of the sheet

    Raises
    ------
    BadInput : no picture, or another number of titles
    """
    if not pictures or (titles and len(titles) != len(pictures)):
        raise BadInput("plots.sheet", "pictures, titles", (len(pictures), len(titles)), "one title a picture, or none")
    columns = min(columns, len(pictures))
    wide = (width - _GAP * (columns + 1)) // columns
    tiles = []
    for picture in pictures:
        high = round(wide * picture.shape[0] / picture.shape[1])
        smooth = Image.Resampling.NEAREST if wide > 1.5 * picture.shape[1] else Image.Resampling.LANCZOS
        tiles.append(Image.fromarray(picture).resize((wide, high), smooth))
    lines = max((title.count("\n") + 1 for title in titles), default=0)
    row = max(tile.height for tile in tiles) + _TEXT * lines + _GAP
    whole = Image.new("RGB", (width, row * -(-len(tiles) // columns) + _GAP), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(size=13)
    for i, tile in enumerate(tiles):
        x, y = _GAP + (i % columns) * (wide + _GAP), _GAP + (i // columns) * row
        whole.paste(tile, (x, y))
        if titles:
            pen.multiline_text((x, y + tile.height), titles[i], fill="black", font=font, spacing=2)
    return np.asarray(whole)


def drawn_people(
    picture: UInt8[np.ndarray, "h w 3"],
    uv: Num[np.ndarray, "P J 2"],
    visibility: UInt8[np.ndarray, "P J"] | None = None,
    skeleton: Skeleton = MPI17,
    scale: int = 3,
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture, `scale` times as large, with everybody's bones; joints are dots, hidden ones rings.

    Parameters
    ----------
    uv : (P, J, 2) px; joints that are NaN, and their bones, are left out
    visibility : (P, J) as a scene has it; joints outside the picture (0) are left out. None: all are visible
    """
    size = picture.shape[1] * scale, picture.shape[0] * scale
    whole = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(whole)
    seen = np.full(uv.shape[:2], VISIBLE) if visibility is None else visibility
    for person, (joints, state) in enumerate(zip(uv * scale, seen, strict=True)):
        there = (state >= HIDDEN) & np.isfinite(joints).all(-1)
        colour = PEOPLE[person % len(PEOPLE)]
        for a, b in skeleton.limbs:
            if there[a] and there[b]:
                pen.line([*joints[a], *joints[b]], fill="white", width=scale + 2)
                pen.line([*joints[a], *joints[b]], fill=colour, width=scale)
        for (u, v), on, shown in zip(joints, there, state == VISIBLE, strict=True):
            if on:
                box = [u - scale, v - scale, u + scale, v + scale]
                pen.ellipse(box, fill=colour if shown else None, outline="white" if shown else colour, width=1)
    return np.asarray(whole)


def overlay(
    picture: UInt8[np.ndarray, "h w 3"],
    values: Float[np.ndarray, "H W"],
    low: float | int,
    high: float | int,
    mask: np.ndarray | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """A map over a pale picture: white to blue from 0 to `high`, or orange-red to blue where `low` is negative.

    Parameters
    ----------
    values : (H, W) cells, the picture's sides a whole number of times
    low, high : the ends of the colours
    mask : (H, W) where the map says something; default: where it is not about 0
    """
    ratio = picture.shape[0] // values.shape[0]
    if picture.shape[:2] != (values.shape[0] * ratio, values.shape[1] * ratio):
        raise BadInput("plots.overlay", "values", values.shape, f"a whole part of {picture.shape[:2]}")
    mask = np.abs(values) > 0.02 * high if mask is None else mask
    blue, red = (np.array(ImageColor.getrgb(c), float) for c in (BLUE, VERMILION))
    share = np.clip(np.where(values >= 0, values / high, values / low if low < 0 else 0), 0, 1)[..., None]
    colour = 255 + share * (np.where(values[..., None] >= 0, blue, red) - 255)
    strength = np.where(mask, 0.25 + 0.7 * share[..., 0], 0)[..., None]
    colour, strength = (np.repeat(np.repeat(a, ratio, 0), ratio, 1) for a in (colour, strength))
    pale = 0.55 * picture + 0.45 * 255
    return np.round(pale * (1 - strength) + colour * strength).astype(np.uint8)


def layers(
    picture: UInt8[np.ndarray, "h w 3"], depth: Float[np.ndarray, "h w"], instance: Num[np.ndarray, "h w"]
) -> list[UInt8[np.ndarray, "h w 3"]]:
    """The picture, its depth (the nearer the darker, white from the 95 % quantile on) and whose each pixel is.

    Parameters
    ----------
    depth : mm, infinity for the sky
    instance : a person's number, -1 the background (light grey), -2 a thing (grey)
    """
    far = np.quantile(depth[np.isfinite(depth)], 0.95)
    shade = np.repeat((255 * np.clip(depth / far, 0, 1)).astype(np.uint8)[..., None], 3, -1)
    hues = [ImageColor.getrgb(colour) for colour in ("#a0a0a0", "#ebebeb", *VARIANTS)]
    place = np.where(instance < 0, instance + 2, 2 + instance % len(VARIANTS))
    return [picture, shade, np.array(hues, np.uint8)[place]]
