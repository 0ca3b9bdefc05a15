"""Pictures of synthetic worlds: shaded capsules and boxes before a room or a street, with a depth buffer.

A batch is drawn in one go in torch, on the processor or on a GPU. Every solid is bounded by a rectangle of pixels;
a ray through each of their centres meets the solid or not, and of all that a ray meets the nearest is kept, one
`scatter_reduce` for the whole batch. The same rays and the same test through the joints themselves say what is hidden.

Kept of real pictures: perspective, occlusion by oneself, others and things, sleeves, faces, patterns, shadows on the
floor, light from one side, blur, noise, exposure. Not kept: soft tissue, cloth that moves, fingers, expressions, the
variety of places and things, shadows of people on people. Left and right show as they do on people (see `looks`).
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from mp3d.batch import Batch
from mp3d.camera import Camera, project
from mp3d.errors import BadInput
from mp3d.scene import Scene
from mp3d.synthetic.body import CAPSULES, POINTS
from mp3d.synthetic.looks import PRINT, TEXELS, Boxes, Capsules, Paints, Places, Set, dress, patterns
from mp3d.synthetic.takes import Takes

NEAR = 0.1
"""m: nothing nearer to the camera is drawn."""
BACKGROUND, THING = -1, -2
"""In `Pictures.instance`, beside the number of a person."""
_CHUNK = 16  # pictures drawn together: what fits a processor's cache
_SKULL = [b for _, b, _ in CAPSULES].index("head_top")


@dataclass(frozen=True, eq=False)
class Pictures:
    """B pictures and what is known of each pixel.

    Parameters
    ----------
    batch : the pictures with the truth in their own pixels; `visibility` is the depth test on the joints' own rays
    depth : (B, H, W) mm along the optical axis, infinity for the sky
    instance : (B, H, W) the person seen, -1 the background, -2 a thing
    """

    batch: Batch
    depth: Float[Tensor, "B H W"]
    instance: Int[Tensor, "B H W"]

    def scenes(self, takes: Takes) -> list[Scene]:
        """The takes as scenes with these pictures, their cameras, and the visibility seen in them."""
        batch = self.batch.to("cpu")
        height, width = batch.image.shape[-2:]
        made = []
        for i, scene in enumerate(takes.scenes()):
            camera = Camera(*batch.k[i].tolist(), width, height, scene.camera.rotation, scene.camera.translation)
            people = tuple(
                replace(person, uv=camera.project(person.xyz), visibility=batch.visibility[i, p].numpy())
                for p, person in enumerate(scene.people)
            )
            image = batch.image[i].permute(1, 2, 0).contiguous().numpy()
            made.append(Scene(camera, people, scene.world, scene.sequence, scene.frame, scene.kind, image))
        return made


def render(takes: Takes, width: int, height: int, seed: int, device: torch.device | str = "cpu") -> Pictures:
    """Draw takes as pictures of one size, with the camera of each scaled to it.

    Parameters
    ----------
    takes : of `worlds.takes`, one at least
    width, height : px. A take's image of another shape is shown whole, with more of the world beside it; in the split
        "border" its middle fills the picture, so that who is cut stays cut
    seed : of clothes, places, things, light and noise
    device : where the pixels are computed; on a processor the same seed gives the same bytes

    Raises
    ------
    BadInput : no take, a side or a focal length that is not positive, or a negative seed
    """
    if len(takes) == 0 or width < 1 or height < 1 or seed < 0:
        found = (len(takes), width, height, seed)
        raise BadInput("render", "takes, width, height, seed", found, "one take, positive sides, a seed of 0 or more")
    if (bad := ~(takes.k[:, :2] > 0).all(1)).any():
        raise BadInput("render", "takes.k", takes.k[bad][0].tolist(), "focal lengths above 0")
    device = torch.device(device)
    k, scene = _scaled(takes, width, height), dress(takes, seed).to(device)
    bank = torch.from_numpy(patterns().astype(np.float32)).to(device)
    k_device = torch.from_numpy(k.astype(np.float32)).to(device)
    points = torch.from_numpy(takes.points[:, :, :17].astype(np.float32) / 1000).to(device)
    step = _CHUNK if device.type == "cpu" else 16 * _CHUNK
    generator, parts = torch.Generator(device).manual_seed(seed), []
    for start in range(0, len(takes), step):
        some = slice(start, min(start + step, len(takes)))
        part = _part(scene, some)
        colour, *known = _draw(part, k_device[some], points[some], width, height, bank)
        parts.append((_develop(colour, part.places, generator, width), *known))
    image, depth, instance, seen = (torch.cat(part) for part in zip(*parts, strict=True))
    xyz = torch.from_numpy(takes.points[:, :, :17].astype(np.float32)).to(device)
    uv = project(xyz, k_device[:, None, None])
    return Pictures(Batch(image, xyz, uv, seen, k_device), 1000 * depth, instance)


def _scaled(takes: Takes, width: int, height: int) -> np.ndarray:
    """(B, 4) the cameras of the pictures, px: one scale in u and v, the image's centre in the middle."""
    sides = np.array([width, height])
    ratio = sides / takes.image
    scale = ratio.max(1) if takes.split == "border" else ratio.min(1)
    centre = (takes.k[:, 2:] - takes.image / 2) * scale[:, None] + sides / 2
    return np.concatenate([takes.k[:, :2] * scale[:, None], centre], 1)


def _part(scene: Set, some: slice) -> Set:
    """The solids of some pictures; the table of paints stays whole."""

    def of(solids):
        keep = (solids.picture >= some.start) & (solids.picture < some.stop)
        picked = {f.name: getattr(solids, f.name)[keep] for f in fields(solids)}
        return type(solids)(**picked | {"picture": picked["picture"] - some.start})

    places = Places(**{f.name: getattr(scene.places, f.name)[some] for f in fields(Places)})
    return Set(of(scene.capsules), of(scene.boxes), scene.paints, places)


# ------------------------------------------------------------------------------------------ geometry


def _sphere_bounds(
    centre: Float[Tensor, "N 3"], radius: Float[Tensor, " N"], k: Float[Tensor, "N 4"]
) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N 2"]]:
    """The smallest and largest (u, v) at which spheres before the camera show: planes through the eye touch there."""
    q = (centre[:, 2:] ** 2 - radius[:, None] ** 2).clamp(min=1e-6)
    reach = radius[:, None] * (centre[:, :2] ** 2 + q).sqrt()
    middle = centre[:, :2] * centre[:, 2:]
    return (middle - reach) / q * k[:, :2] + k[:, 2:], (middle + reach) / q * k[:, :2] + k[:, 2:]


def _capsule_bounds(first: Tensor, last: Tensor, radius: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 2) the rectangle around each capsule, px; everything where it crosses the near plane, nothing behind."""
    (low, high), (low_last, high_last) = (_sphere_bounds(end, radius, k) for end in (first, last))
    nearest, farthest = torch.minimum(first[:, 2], last[:, 2]) - radius, torch.maximum(first[:, 2], last[:, 2]) + radius
    return _clipped(torch.minimum(low, low_last), torch.maximum(high, high_last), nearest, farthest)


def _clipped(low: Tensor, high: Tensor, nearest: Tensor, farthest: Tensor) -> tuple[Tensor, Tensor]:
    crossing, behind = (nearest < NEAR)[:, None], (farthest < NEAR)[:, None]
    low, high = torch.where(crossing, -torch.inf, low), torch.where(crossing, torch.inf, high)
    return torch.where(behind, torch.inf, low), torch.where(behind, -torch.inf, high)


def _rasterise(
    low: Float[Tensor, "N 2"], high: Float[Tensor, "N 2"], picture: Int[Tensor, " N"], width: int, height: int
) -> tuple[Int[Tensor, " M"], Int[Tensor, " M"], Float[Tensor, " M"], Float[Tensor, " M"]]:
    """All pairs (solid, pixel) with the pixel's centre in the solid's rectangle: solid, pixel's index, u, v."""
    size = torch.tensor([width, height], device=low.device, dtype=low.dtype)
    start = (low - 0.5).ceil().clamp(min=0).minimum(size).long()
    sides = ((high - 0.5).floor() + 1).clamp(min=0).minimum(size).long() - start
    sides = sides.clamp(min=0)
    count = sides.prod(-1)
    solid = torch.repeat_interleave(torch.arange(len(low), device=low.device), count)
    place = torch.arange(len(solid), device=low.device) - (count.cumsum(0) - count)[solid]
    row = torch.div(place, sides[solid, 0], rounding_mode="floor")
    column = place - row * sides[solid, 0] + start[solid, 0]
    row = row + start[solid, 1]
    pixel = (picture[solid] * height + row) * width + column
    return solid, pixel, column + 0.5, row + 0.5


def _rays(u: Tensor, v: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    return (u - k[..., 2]) / k[..., 0], (v - k[..., 3]) / k[..., 1]


def _table(solids: Capsules) -> Float[Tensor, "N 9"]:
    """What `_meet` needs of each capsule, gathered in one go."""
    axis = solids.last - solids.first
    depth = (solids.first[:, 2:] + solids.last[:, 2:]) / 2
    return torch.cat([solids.first, axis, (axis * axis).sum(-1, keepdim=True), solids.radius[:, None], depth], 1)


def _meet(x: Float[Tensor, " M"], y: Float[Tensor, " M"], table: Float[Tensor, "M 9"]) -> Float[Tensor, " M"]:
    """Depth (m) at which the ray t (x, y, 1) enters a capsule, infinity for a miss.

    As `body.ray_capsule`, with t measured from the capsule's own depth: float32 would not do at 100 m otherwise.
    """
    ax, ay, az, bx, by, bz, square, radius, depth = table.unbind(1)
    ax, ay, az = ax - depth * x, ay - depth * y, az - depth
    dd = x * x + y * y + 1
    db, da, ab = x * bx + y * by + bz, x * ax + y * ay + az, ax * bx + ay * by + az * bz
    beyond = ax * ax + ay * ay + az * az - radius * radius
    # The cylinder: |(t d - a) x b|^2 = r^2 |b|^2.
    qa = (dd * square - db * db).clamp(min=1e-12)
    qb = da * square - db * ab
    root = qb * qb - qa * (square * beyond - ab * ab)
    t = (qb - root.clamp(min=0).sqrt()) / qa
    along = t * db - ab
    # The balls at the ends.
    over = along > square
    ends = over | (along < 0) | (square < 1e-10)
    to_end = torch.where(over, da + db, da)
    ball = to_end * to_end - dd * torch.where(over, beyond + square + 2 * ab, beyond)
    t = torch.where(ends, (to_end - ball.clamp(min=0).sqrt()) / dd, t)
    hit = torch.where(ends, ball >= 0, root >= 0) & (t + depth > NEAR)
    return torch.where(hit, t + depth, torch.inf)


def _meet_box(x: Tensor, y: Tensor, boxes: Boxes, which: Tensor) -> tuple[Tensor, Tensor]:
    """Depth (m) at which rays enter boxes, infinity for a miss, and through which axis' face."""
    ray = torch.stack([x, y, torch.ones_like(x)], -1)
    axes, half = boxes.axes[which], boxes.half[which]
    d = (axes * ray[:, None]).sum(-1)
    o = -(axes * boxes.centre[which][:, None]).sum(-1)
    d = torch.where(d.abs() < 1e-9, 1e-9, d)
    far, near = ((torch.where(d > 0, half, -half) * s - o) / d for s in (1, -1))
    enter, face = near.max(-1)
    hit = (enter < far.min(-1).values) & (enter > NEAR)
    return torch.where(hit, enter, torch.inf), face


def _nearest(depth: Float[Tensor, " M"], pixel: Int[Tensor, " M"], pixels: int) -> Int[Tensor, " pixels"]:
    """For each pixel the pair of least depth, the first of equals; M where there is none.

    The bits of a positive float are ordered as it is, so depth and number make one integer whose least is wanted.
    """
    number = torch.arange(len(depth), device=depth.device)
    key = (depth.view(torch.int32).long() << 32) | number
    best = torch.full((pixels,), torch.iinfo(torch.int64).max, device=depth.device)
    best.scatter_reduce_(0, pixel, key, "amin")
    return torch.where(best == torch.iinfo(torch.int64).max, len(depth), best & 0xFFFFFFFF)


def _seen(
    scene: Set,
    points: Float[Tensor, "B P 17 3"],
    k: Float[Tensor, "B 4"],
    width: int,
    height: int,
    bounds: tuple[Tensor, Tensor],
    table: Tensor,
) -> UInt8[Tensor, "B P 17"]:
    """0 outside the picture, 1 hidden, 2 visible: the depth test of the picture on the rays through the joints.

    As `body.visibility` has it, a joint is visible where the first surface on its ray is the skin around it: a
    capsule of its own body that ends at the joint or holds it. Own hair and nose hide nothing.
    """
    pictures, people, joints = points.shape[:3]
    uv = project(points, k[:, None, None])
    size = torch.tensor([width, height], device=uv.device)
    inside = ((uv >= 0) & (uv < size) & (points[..., 2:] > NEAR)).all(-1)
    rays = torch.nonzero(inside.flatten())[:, 0]
    of_picture = rays // (people * joints)
    at = uv.reshape(-1, 2)[rays]
    joint = points.reshape(-1, 3)[rays]
    x, y = _rays(at[:, 0], at[:, 1], k[of_picture])

    low, high = bounds
    deepest = torch.full_like(joint[:, 2], torch.inf)
    surface, blocked = deepest.clone(), deepest
    capsules = scene.capsules
    ray, solid = _candidates(of_picture, at, capsules.picture, low, high, pictures)
    t = _meet(x[ray], y[ray], table[solid])
    own = (rays[ray] // joints % people) == capsules.owner[solid]
    extra = capsules.part[solid] >= len(CAPSULES)
    ends = _ENDS.to(points.device)[capsules.part[solid].clamp(max=len(CAPSULES) - 1), rays[ray] % joints]
    gap = _axis_distance(joint[ray], capsules.first[solid], capsules.last[solid])
    skin = own & (ends | (gap < capsules.radius[solid])) & ~extra
    surface.scatter_reduce_(0, ray, torch.where(skin, t, torch.inf), "amin")
    blocked.scatter_reduce_(0, ray, torch.where(skin | (own & extra), torch.inf, t), "amin")
    boxes = scene.boxes
    if len(boxes.picture):
        ray, solid = _candidates(of_picture, at, boxes.picture, *_box_bounds(boxes, k), pictures)
        blocked.scatter_reduce_(0, ray, _meet_box(x[ray], y[ray], boxes, solid)[0], "amin")
    surface = torch.minimum(surface, joint[:, 2])
    seen = torch.zeros(inside.numel(), dtype=torch.uint8, device=points.device)
    seen[rays] = torch.where(blocked < surface - 1e-6, 1, 2).to(torch.uint8)
    return seen.reshape(inside.shape)


_ENDS = torch.tensor([[joint in (a, b) for joint in POINTS[:17]] for a, b, _ in CAPSULES])


def _candidates(
    ray_picture: Tensor, at: Tensor, picture: Tensor, low: Tensor, high: Tensor, pictures: int
) -> tuple[Tensor, Tensor]:
    """Pairs (ray, solid) of one picture with the ray in the solid's rectangle."""
    found = []
    for i in range(pictures):
        rays, solids = torch.nonzero(ray_picture == i)[:, 0], torch.nonzero(picture == i)[:, 0]
        a = at[rays, None]
        ray, solid = torch.nonzero(((a >= low[solids]) & (a <= high[solids])).all(-1)).unbind(1)
        found.append((rays[ray], solids[solid]))
    rays, solids = zip(*found, strict=True)
    return torch.cat(rays), torch.cat(solids)


def _axis_distance(point: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Distance of points from segments, (M,)."""
    axis, offset = last - first, point - first
    place = ((offset * axis).sum(-1) / (axis * axis).sum(-1).clamp(min=1e-12)).clamp(0, 1)
    return (offset - place[:, None] * axis).norm(dim=-1)


def _box_bounds(boxes: Boxes, k: Tensor) -> tuple[Tensor, Tensor]:
    corner = torch.tensor([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)], device=k.device).float()
    corners = boxes.centre[:, None] + (corner * boxes.half[:, None]) @ boxes.axes
    uv = project(torch.cat([corners[..., :2], corners[..., 2:].clamp(min=NEAR / 2)], -1), k[boxes.picture][:, None])
    depth = corners[..., 2]
    return _clipped(uv.amin(1), uv.amax(1), depth.amin(1), depth.amax(1))


# ------------------------------------------------------------------------------------------- shading


def _draw(
    scene: Set, k: Tensor, points: Tensor, width: int, height: int, bank: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Colours (B, 3, H, W) 0 to 1 before the camera's faults, depth (m), instance, visibility."""
    pictures, pixels = len(k), len(k) * width * height
    capsules, boxes, paints, places = scene.capsules, scene.boxes, scene.paints, scene.places
    table, bounds = (
        _table(capsules),
        _capsule_bounds(capsules.first, capsules.last, capsules.radius, k[capsules.picture]),
    )
    seen = _seen(scene, points, k, width, height, bounds, table)

    solid, pixel, u, v = _rasterise(*bounds, capsules.picture, width, height)
    x, y = _rays(u, v, k[capsules.picture[solid]])
    t = _meet(x, y, table[solid])
    hit = torch.nonzero(t < torch.inf)[:, 0]
    t, x, y, solid, pixel = (a[hit] for a in (t, x, y, solid, pixel))
    square, at_box, u, v = _rasterise(*_box_bounds(boxes, k), boxes.picture, width, height)
    x_box, y_box = _rays(u, v, k[boxes.picture[square]])
    t_box, face = _meet_box(x_box, y_box, boxes, square)

    colour, depth = _background(places, k, paints, bank, width, height, capsules)
    depth = depth.flatten()
    best = _nearest(torch.cat([t, t_box]), torch.cat([pixel, at_box]), pixels)
    nearest = torch.cat([t, t_box, t.new_tensor([torch.inf])])[best]
    shown = nearest < depth
    depth = torch.where(shown, nearest, depth)
    instance = torch.full((pixels,), BACKGROUND, dtype=torch.int64, device=k.device)
    flat = colour.permute(0, 2, 3, 1).reshape(-1, 3)

    round_ = torch.nonzero(shown & (best < len(t)))[:, 0]
    who = best[round_]
    owner = capsules.owner[solid[who]]
    instance[round_] = torch.where(owner < 0, THING, owner)
    flat[round_] = _capsule_colour(scene, solid[who], x[who], y[who], t[who], round_ // (width * height), k, bank)
    flat_ = torch.nonzero(shown & (best >= len(t)) & (best < len(t) + len(t_box)))[:, 0]
    who = best[flat_] - len(t)
    instance[flat_] = THING
    flat[flat_] = _box_colour(scene, square[who], x_box[who], y_box[who], t_box[who], face[who], k, bank)
    shape = (pictures, height, width)
    return flat.reshape(*shape, 3).permute(0, 3, 1, 2), depth.reshape(shape), instance.reshape(shape), seen


def _paint(paints: Paints, row: Tensor, a: Tensor, b: Tensor, footprint: Tensor, bank: Tensor) -> Tensor:
    """(M, 3) colour of a paint at (a, b) m; patterns finer than a pixel's `footprint` (m) fade to their mean."""
    scale, pattern = paints.scale[row], paints.pattern[row]
    i, j = ((w / scale * TEXELS).floor().long() % TEXELS for w in (b, a))
    value, mean = bank[pattern, i, j], bank.mean((1, 2))[pattern]
    fade = (scale / 16 / footprint.clamp(min=1e-6)).clamp(max=1)
    value = (mean + (value - mean) * fade)[:, None]
    return paints.one[row] * (1 - value) + paints.two[row] * value


def _lit(colour: Tensor, normal: Tensor, places: Places, picture: Tensor) -> Tensor:
    """Light from one side and from everywhere, more of it from above; `normal` in the camera frame."""
    toward = (places.rotation @ places.light[..., None])[..., 0]
    up = -places.rotation[:, :, 1]
    facing = (normal * toward[picture]).sum(-1).clamp(min=0)
    above = (normal * up[picture]).sum(-1)
    strength = places.ambient[picture] * (0.8 + 0.2 * above) + places.direct[picture] * facing
    return colour * strength[:, None]


def _capsule_colour(
    scene: Set, solid: Tensor, x: Tensor, y: Tensor, t: Tensor, picture: Tensor, k: Tensor, bank: Tensor
) -> Tensor:
    capsules = scene.capsules
    point = torch.stack([x * t, y * t, t], -1)
    first, last = capsules.first[solid], capsules.last[solid]
    axis = last - first
    place = (((point - first) * axis).sum(-1) / (axis * axis).sum(-1).clamp(min=1e-12)).clamp(0, 1)
    radius = capsules.radius[solid][:, None]
    normal = (point - first - place[:, None] * axis) / radius
    frame = capsules.frame[solid]
    right, down, ahead = ((frame[:, 1:] * (point - frame[:, 0])[:, None]).sum(-1)).unbind(1)
    facing = (frame[:, 3] * normal).sum(-1)
    split = down > capsules.limit[solid]
    # A head: hair unless the face is there, which reaches from the hairline to the chin.
    head = capsules.part[solid] == _SKULL
    unit = radius[:, 0]
    face = (facing > -0.05) & (down > -0.85 * unit) & (ahead > -0.1 * unit)
    row = torch.where(torch.where(head, ~face, split), capsules.below[solid], capsules.paint[solid])
    footprint = t / k[picture, 0]
    # Prints are on the chest, symmetric; the back has the pattern's first colour.
    colour = _paint(scene.paints, row, right.abs(), down, footprint, bank)
    chest = (scene.paints.pattern[row] == PRINT) & (facing < 0)
    colour = torch.where(chest[:, None], scene.paints.one[row], colour)
    a, b = right.abs() / unit, down / unit
    eye = head & face & ((a - 0.38) ** 2 + (b + 0.35) ** 2 < 0.022)
    brow = head & face & ((a - 0.40).abs() < 0.20) & ((b + 0.60).abs() < 0.06)
    mouth = head & face & (a < 0.30) & ((b - 0.45).abs() < 0.07)
    dark = torch.tensor([0.12, 0.08, 0.07], device=colour.device)
    colour = torch.where((eye | brow)[:, None], dark, colour)
    colour = torch.where(mouth[:, None], colour * torch.tensor([0.75, 0.40, 0.40], device=colour.device), colour)
    return _lit(colour, normal, scene.places, picture)


def _box_colour(
    scene: Set, solid: Tensor, x: Tensor, y: Tensor, t: Tensor, face: Tensor, k: Tensor, bank: Tensor
) -> Tensor:
    boxes, picture = scene.boxes, scene.boxes.picture[solid]
    point = torch.stack([x * t, y * t, t], -1)
    axes = boxes.axes[solid]
    local = (axes * (point - boxes.centre[solid])[:, None]).sum(-1)
    rows = torch.arange(len(solid), device=x.device)
    ray = (axes[rows, face] * torch.stack([x, y, torch.ones_like(x)], -1)).sum(-1)
    normal = -axes[rows, face] * ray.sign()[:, None]
    a, b = local[rows, (face == 0) * 2], local[rows, torch.where(face == 1, 2, 1)]
    colour = _paint(scene.paints, boxes.paint[solid], a, b, t / k[picture, 0], bank)
    return _lit(colour, normal, scene.places, picture)


def _background(
    places: Places, k: Tensor, paints: Paints, bank: Tensor, width: int, height: int, capsules: Capsules
) -> tuple[Tensor, Tensor]:
    """The inside of a box with the camera in it: colours (B, 3, H, W) and depth (m, infinity for the sky)."""
    pictures, shape = len(k), (len(k), height, width)
    u, v = torch.arange(width, device=k.device) + 0.5, torch.arange(height, device=k.device) + 0.5
    x, y = _rays(u, v[:, None], k[:, None, None])
    eye = -(places.translation[:, None] @ places.rotation)[:, 0]
    ray, exits = [], []  # in the world, one axis after the other
    for axis in range(3):
        r = places.rotation[:, :, axis, None, None]
        d = (r[:, 0] * x + r[:, 1] * y + r[:, 2]).reshape(-1)
        d = torch.where(d.abs() < 1e-9, 1e-9, d).reshape(shape)
        wall = torch.where(d > 0, *(getattr(places, w)[:, axis, None, None] for w in ("high", "low")))
        ray.append(d.flatten())
        exits.append(((wall - eye[:, axis, None, None]) / d).flatten())
    picture = torch.arange(pictures, device=k.device).repeat_interleave(width * height)
    depth = torch.minimum(torch.minimum(exits[0], exits[1]), exits[2])
    level, across = depth == exits[1], depth == exits[0]
    point = [eye[:, axis].repeat_interleave(width * height) + depth * ray[axis] for axis in range(3)]
    floor = level & (ray[1] > 0)
    sky = ~floor & (-point[1] > places.skyline[picture])
    row = torch.where(floor, places.floor[picture], torch.where(level, places.ceiling[picture], places.wall[picture]))
    a = torch.where(across, point[2], point[0])
    b = torch.where(level, point[2], point[1])
    length = (ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2).sqrt()
    through = torch.where(level, ray[1], torch.where(across, ray[0], ray[2]))
    slant = (through.abs() / length).clamp(min=0.05)
    colour = _paint(paints, row, a, b, depth / k[picture, 0] / slant, bank)
    # Walls stand in their own light: floor full, walls by the side they face.
    light = [places.light[:, axis].repeat_interleave(width * height) for axis in range(3)]
    facing = torch.where(level, light[1], torch.where(across, light[0], light[2])) * -through.sign()
    strength = places.ambient[picture] * torch.where(floor, 1.0, 0.85) + places.direct[picture] * facing.clamp(min=0)
    dark = _shadow(places, k, capsules, point, floor, width, height)
    colour = colour * (strength - places.shade[picture] * dark)[:, None]
    above = torch.nonzero(sky)[:, 0]
    rise = (-ray[1][above] / length[above]).clamp(0, 1).sqrt()[:, None]
    horizon, zenith = places.sky[picture[above]].unbind(1)
    colour[above] = horizon * (1 - rise) + zenith * rise
    depth = torch.where(sky, torch.inf, depth)
    return colour.reshape(*shape, 3).permute(0, 3, 1, 2), depth.reshape(shape)


def _shadow(
    places: Places, k: Tensor, capsules: Capsules, point: list[Tensor], floor: Tensor, width: int, height: int
) -> Float[Tensor, " pixels"]:
    """How dark the floor is at each pixel, 0 to 1: each capsule throws a flat one along the light."""
    picture = capsules.picture
    rotation, light = places.rotation[picture], places.light[picture]

    def thrown(end: Tensor) -> Tensor:
        world = ((end - places.translation[picture])[:, None] @ rotation)[:, 0]
        return world - light * (world[:, 1:2] / light[:, 1:2])  # down to y = 0

    first, last = thrown(capsules.first), thrown(capsules.last)
    reach = capsules.radius + places.softness[picture]
    ends = [(rotation @ e[..., None])[..., 0] + places.translation[picture] for e in (first, last)]
    bounds = _capsule_bounds(*ends, reach, k[picture])
    # A shadow that crosses the near plane is left out, though a part of it may be in view.
    low = torch.where(bounds[0] == -torch.inf, torch.inf, bounds[0])
    solid, pixel, _, _ = _rasterise(low, bounds[1], picture, width, height)
    keep = torch.nonzero(floor[pixel])[:, 0]
    solid, pixel = solid[keep], pixel[keep]
    gap = _axis_distance(torch.stack([p[pixel] for p in point], -1), first[solid], last[solid])
    soft = places.softness[picture[solid]]
    dark = ((capsules.radius[solid] + soft - gap) / (2 * soft)).clamp(0, 1)
    return torch.zeros(len(floor), device=k.device).scatter_reduce_(0, pixel, dark, "amax")


def _develop(
    colour: Float[Tensor, "B 3 H W"], places: Places, generator: torch.Generator, width: int
) -> UInt8[Tensor, "B 3 H W"]:
    """What the camera makes of it: exposure, contrast, blur, noise, bytes."""
    each = (slice(None), None, None, None)
    colour = 0.5 + places.contrast[each] * (colour * places.gain[:, :, None, None] - 0.5)
    side = ((places.blur * width / 128).clamp(max=0.75) ** 2 / 2)[each]  # three taps of this variance
    for axis, pad in ((-2, (0, 0, 1, 1)), (-1, (1, 1, 0, 0))):
        wide, n = torch.nn.functional.pad(colour, pad, mode="replicate"), colour.shape[axis]
        colour = (1 - 2 * side) * colour + side * (wide.narrow(axis, 0, n) + wide.narrow(axis, 2, n))
    noise = torch.rand(colour.shape, generator=generator, device=colour.device) - 0.5
    colour = colour + 12**0.5 * places.noise[each] * noise
    return (255 * colour.clamp(0, 1)).round().to(torch.uint8)
