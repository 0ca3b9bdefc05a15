"""Solutions of the notebooks' exercises: what a reader's attempt is compared with, and what unfolds below it."""

import numpy as np
from scipy.stats import t

from mp3d.metrics.errors import pa_mpjpe

TOY_POSE = np.array(
    [(0, -700, 0), (0, -500, 0)]
    + [(-200, -500, 0), (-200, -200, 0), (-200, 50, 0), (200, -500, 0), (200, -200, 0), (200, 50, 0)]
    + [(-100, 0, 0), (-100, 400, 0), (-100, 800, 0), (100, 0, 0), (100, 400, 0), (100, 800, 0)]
    + [(0, 0, 0), (0, -250, 0), (0, -600, 0)],
    float,
)
"""(17, 3) mm: somebody who stands stiffly, seen from the pelvis, all in one plane: to be checked by hand."""

# -- start ------------------------------------------------------------------------------------------------


def depth_from_height(focal, height_mm, height_px):
    """How far away, in mm, somebody of this height stands whose image is this many pixels high."""
    return focal * height_mm / height_px


def mpjpe_by_hand(pred, true):
    """MPJPE in mm of two (17, 3) poses, each seen from its own pelvis, joint 14."""
    pred = pred - pred[14]
    true = true - true[14]
    return np.sqrt(((pred - true) ** 2).sum(axis=1)).mean()


def without_the_pelvis(mpjpe_of_17):
    """The mean over the 16 other joints, given the mean over 17 of which one is always 0."""
    return mpjpe_of_17 * 17 / 16


def wrong_root(xyz, depth_error):
    """Where a joint lands that is read off its true pixel at a depth that is off by this factor."""
    return xyz * (1 + depth_error)


# -- pinet ------------------------------------------------------------------------------------------------


def near_to_far(roots, person):
    """Indices of all people, this one first, then by the 3D distance of their roots (P, 3) from this one's."""
    distance = np.linalg.norm(roots - roots[person], axis=1)
    distance[person] = -1  # also where somebody stands at the very same place
    return np.argsort(distance, kind="stable")


def normalised(poses):
    """Poses (P, 17, 3) less their mean, over their deviation (ddof 1, plus 1e-4): one of each an axis."""
    flat = poses.reshape(-1, 3)
    return (poses - flat.mean(0)) / (flat.std(0, ddof=1) + 1e-4)


def attention_weights(e, a, b):
    """Equation 3: rows of softmax of e_n . (A e_m + b), for embeddings (P, E), A (E, E) and b (E,)."""
    scores = e @ (e @ a.T + b).T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def what_scale_hides(true, factor):
    """PA-MPJPE of a person estimated `factor` times too large: aligned without scale, as PI-Net's, and with it."""
    return float(pa_mpjpe(factor * true, true)), float(pa_mpjpe(factor * true, true, scale=True))


# -- pinet_ablation ---------------------------------------------------------------------------------------


def gru_parameters(inputs, hidden, layers):
    """Weights and biases of a bidirectional GRU: three gates, each with an input, a recurrent part, two biases."""
    total = 0
    for layer in range(layers):
        width = inputs if layer == 0 else 2 * hidden
        total += 2 * 3 * (width * hidden + hidden * hidden + 2 * hidden)
    return total


def paired_interval(a, b):
    """Mean difference a - b over the same n scenes and the half width of its 95 % interval, by Student's t."""
    difference = a - b
    n = len(difference)
    return difference.mean(), t.ppf(0.975, n - 1) * difference.std(ddof=1) / np.sqrt(n)


def two_averages(error, people):
    """The mean over sequences and the mean over people, given each sequence's error and number of people."""
    return error.mean(), (error * people).sum() / people.sum()


# -- metrics ----------------------------------------------------------------------------------------------


def auc_of_a_perfect_pose(thresholds):
    """AUC, in percent, of errors that are all 0, when an error has to be *below* the threshold."""
    return 100 * np.mean([threshold > 0 for threshold in thresholds])


def all_from_matched(matched_pck, annotated, matched):
    """3DPCK over all people, given the one over matched people: whoever was missed has no correct joint."""
    return matched_pck * matched / annotated


def greedy(agreeing):
    """The official matching: each row (person) takes the free column (prediction) with most agreeing joints, or -1."""
    taken, chosen = set(), []
    for row in agreeing:
        free = [(-count, column) for column, count in enumerate(row) if column not in taken and count > 0]
        chosen.append(min(free)[1] if free else -1)
        taken.add(chosen[-1])
    return chosen


def ordinal_accuracy(true_z, pred_z, tolerance):
    """PCOD: percent of pairs whose class (nearer, farther, within the tolerance in mm) is predicted."""
    i, j = np.triu_indices(len(true_z), 1)
    classes = [np.where(abs(z[i] - z[j]) < tolerance, 0, np.sign(z[i] - z[j])) for z in (true_z, pred_z)]
    return 100 * (classes[0] == classes[1]).mean()


# -- audit ------------------------------------------------------------------------------------------------


def which_mean(cells, weights, printed):
    """0 if the printed mean is the plain one of the cells, 1 if the weighted one, 2 if neither, to within 0.1."""
    for answer, mean in enumerate((np.mean(cells), np.average(cells, weights=weights))):
        if abs(mean - printed) <= 0.1:
            return answer
    return 2


def share_matched(all_pck, matched_pck):
    """Matched people as a share of all, from 3DPCK over both: above 1 the two are not of one run."""
    return all_pck / matched_pck


def after_the_fit(rho, deviation):
    """R2, and the standard deviation of the error, of a prediction after a least-squares fit to the truth."""
    return rho**2, deviation * np.sqrt(1 - rho**2)


# -- data_tour --------------------------------------------------------------------------------------------


def published_t(rotation, place):
    """t of x = R X + t, for a camera that stands at `place`: it must send that point to 0."""
    return -rotation @ place


def from_mmpose(point, rotation, place):
    """mm in the camera's frame, from a world point and mmpose's R and T in metres: x = R^T (X - T)."""
    return 1000 * rotation.T @ (point - place)


def smap_neck(points):
    """SMAP's neck of COCO's 17 joints (x, y, v), in px, and its v: no better than the worst of its four joints."""
    shoulders, hips = points[[5, 6]].mean(axis=0), points[[11, 12]].mean(axis=0)
    neck = shoulders + 0.185 * (shoulders - hips)
    neck[2] = points[[5, 6, 11, 12], 2].min()
    return neck


def jta_focal(rows):
    """The slope of (u - 960, v - 540) on (x / z, y / z), in px, of JTA's rows N x 10."""
    uv = rows[:, 3:5] - [960, 540]
    ray = rows[:, 5:7] / rows[:, 7:8]
    return (uv * ray).sum() / (ray**2).sum()


# -- worlds -----------------------------------------------------------------------------------------------


def height_in_px(height, distance, focal):
    """How high something of `height` mm is at `distance` mm, in px."""
    return focal * height / distance


def outline(radius, z, focal):
    """The radius of a ball's outline, in px, for a ball straight ahead: its tangent leaves at arcsin(r / z)."""
    return focal * radius / np.sqrt(z**2 - radius**2)


def nearest(pixel, depth, pixels):
    """A depth buffer: for each pixel the number of the nearest surface, the first of equals, -1 for none."""
    best = [-1] * pixels
    for i, place in enumerate(pixel):
        if best[place] < 0 or depth[i] < depth[best[place]]:
            best[place] = i
    return best


# -- threedmppe -------------------------------------------------------------------------------------------


def k_of(side, focal):
    """The distance in mm at which something of 2 m x 2 m fills a square of `side` px."""
    return 2000 * focal / side


def error_of_a_child(depth, size):
    """How much too far somebody is put, in mm, who is `size` times an adult and gets an adult's gamma."""
    return depth / size - depth


def to_camera(place, n, square, z, f, c):
    """X, Y, Z in mm of a joint at cells (a, b) and bin d of a volume with n a side, in the square (x, y, side)."""
    a, b, d = place
    x, y, side = square
    far = z + (d / n - 0.5) * 2000
    return [(x + a * side / n - c[0]) * far / f, (y + b * side / n - c[1]) * far / f, far]


# -- codings ----------------------------------------------------------------------------------------------


def top(low, middle, high):
    """How far the top of a Gaussian is from the middle of three neighbouring values, in cells."""
    a, b, c = np.log([low, middle, high])
    return (a - c) / (2 * (a - 2 * b + c))


def wrist_is_read(p):
    """The probability that a wrist's bone is read exactly: at the wrist alone, or at any of five sites."""
    return 1 - p, 1 - p**5


def iou_apart(d):
    """The IoU of two boxes of one size, apart by `d` of their width, and up to which d NMS at 0.5 removes one."""
    return max(0.0, 1 - d) / (1 + min(d, 1)), 1 / 3


# -- smap -------------------------------------------------------------------------------------------------


def normalised_depth(z, f, w):
    """SMAP's equation 1: the depth z in mm as the root-depth map of a picture w px wide holds it."""
    return z * w / f


def link_after_penalty(score, length, bone, z, f):
    """A link's score less what its `length` in px costs, for a bone of so many mm at depth z, lambda = 1.2."""
    allowed = 1.2 * bone * f / z
    return score + min(allowed / length - 1, 0)


def wrist_depth(root, bones):
    """The depth in mm of the last joint of a chain from the pelvis by what each bone adds; NaN if one is missing."""
    return root + sum(np.nan if dz is None else dz for dz in bones)


def depth_from_bone(length, px, f):
    """FitT in one line: how far away a bone of so many mm across the line of sight is that is `px` long."""
    return f * length / px


# -- smap_ablation ----------------------------------------------------------------------------------------


def pairs_right(pred, true, tolerance=300):
    """How many pairs of people are in the right class by PCOD's definition in the paper, of depths in mm."""

    def order(z, i, j):
        return 0 if abs(z[i] - z[j]) < tolerance else np.sign(z[i] - z[j])

    count = len(true)
    return sum(order(pred, i, j) == order(true, i, j) for i in range(count) for j in range(i + 1, count))


def wrong_focal(z, used, true):
    """The error in mm of a root whose normalised depth is right, undone with a wrong focal length."""
    return abs(z * used / true - z)


def auc_of_constant(error):
    """AUC in % over the thresholds 0, 5, ..., 150 mm where every joint is off by so many mm; below counts."""
    thresholds = range(0, 151, 5)
    return 100 * sum(error < t for t in thresholds) / len(thresholds)


# -- orpm_ae ----------------------------------------------------------------------------------------------


def push_of_two(gap, sigma=1.0):
    """ORPM-AE's push (equation 2) for two people whose mean tags are so far apart: both ordered pairs, over N^2."""
    return 2 * np.exp(-(gap**2) / (2 * sigma**2)) / 2**2


def pull_of_one(gap, joints):
    """Its pull for one person with this many equal tags, but one that is off by `gap`."""
    return gap**2 * (joints - 1) / joints**2


def next_joint(tags, scores, reference, near=1.0):
    """Which detection a person takes next: the best score among tags nearer than `near` to the reference, else -1."""
    close = [i for i, tag in enumerate(tags) if abs(tag - reference) < near]
    return max(close, key=lambda i: scores[i], default=-1)


def read_at(joint, valid):
    """Where a joint of an arm is read: 0 wrist, 1 elbow, 2 shoulder, 3 neck, 4 pelvis; -1: the mean, none is valid."""
    order = [joint, *(site for site in range(5) if site != joint)]
    return next((site for site in order if valid[site]), -1)


# -- orpm_ae_ablation -------------------------------------------------------------------------------------


def error_down_the_tree(error, depth):
    """The root mean square error of a joint so many bones from the pelvis, each off by `error`, independently."""
    return error * np.sqrt(depth)


def found_and_right(errors, found):
    """MPJPE over the people who were found, and the % of all people's joints that are found and within 150 mm."""
    errors, found = np.asarray(errors, float), np.asarray(found, bool)
    return errors[found].mean(), 100 * ((errors < 150) & found[:, None]).mean()


def cost_of_a_tag(gap, score):
    """What the public codes' assignment pays to give a detection with such a gap of tags to a person."""
    return 100 * np.round(gap) - score


# -- pandanet ---------------------------------------------------------------------------------------------


def pono_of(ious):
    """The per-object normalised overlaps of all anchors of one person, from their IoUs."""
    return [iou / max(ious) for iou in ious]


def iou_of_squares(dx, dy):
    """The IoU of two unit squares whose centres are dx and dy apart."""
    common = max(0.0, 1 - abs(dx)) * max(0.0, 1 - abs(dy))
    return common / (2 - common)


def depth_at_mean_size(z, true, mean):
    """Where somebody at z is put whose bones are `true` mm long together and taken for `mean` mm."""
    return z * mean / true


# -- pandanet_ablation ------------------------------------------------------------------------------------


def best_weight(loss):
    """The weight at which lambda * loss + log(1 / lambda) is least, and what it is there."""
    return 1 / loss, 1 + np.log(loss)


def joints_lost(places):
    """How many of some joints (x, y), in anchor coordinates, a network learns nothing of that says 0."""
    return sum(abs(x) >= 1 or abs(y) >= 1 for x, y in places)


def faster_from(network, each):
    """The least number of people for which one look at all takes less time than `each` for everyone of them."""
    people = 1
    while network >= each * people:
        people += 1
    return people


# -- tdbu -------------------------------------------------------------------------------------------------


def likeness(far, a, b, reach=250.0):
    """How alike two joints are that are `far` mm apart, of confidences a and b."""
    return min(a, b) * np.exp(-((far / reach) ** 2) / 2)


def best_pairing(sim):
    """The column of each row of two by two likenesses, so that their sum is largest."""
    return [0, 1] if sim[0][0] + sim[1][1] >= sim[0][1] + sim[1][0] else [1, 0]


def linear_joint(td, bu, sure_td, sure_bu):
    """The mean of two coordinates, each seen from its own pelvis, weighted by confidence; None where nobody knows."""
    total = sure_td + sure_bu
    return (sure_td * td + sure_bu * bu) / total if total else None


# -- tdbu_ablation ----------------------------------------------------------------------------------------


def naturalness(one, other, both):
    """C of two people: what is said of each and of both together."""
    return 0.25 * (one + other) + 0.5 * both


def affinities(hops, confidences):
    """What a joint takes of each joint, by how many bones lie between and how sure each is."""
    weights = [c * np.exp(-h) for h, c in zip(hops, confidences, strict=True)]
    return [weight / sum(weights) for weight in weights]


def easy_weights(errors, r):
    """Shares of samples, the larger the smaller their errors."""
    shares = np.exp(-np.asarray(errors, float) / r)
    return shares / shares.sum()


# -- tdbu_mupots ------------------------------------------------------------------------------------------


def weight_of(td, bu, mixed):
    """The w with which mixed comes closest to w td + (1 - w) bu, by least squares over all coordinates."""
    apart = td - bu
    return ((mixed - bu) * apart).sum() / (apart**2).sum()


def outside_by(td, bu, v):
    """The depth v td + (1 - v) bu in mm, and how far it lies outside of the interval between the two."""
    z = v * td + (1 - v) * bu
    return z, max(min(td, bu) - z, z - max(td, bu), 0)


def ap_in_order(hits, people):
    """AP in % of predictions by falling score, 1 for each that finds somebody new and 0 for all others."""
    hits = np.asarray(hits)
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    return 100 * (precision * hits).sum() / people


def moved_by(root, ratio):
    """How far, in mm, a root (x, y, z) is from where it is seen when its depth is taken `ratio` times too large."""
    return abs(ratio - 1) * np.linalg.norm(root)
