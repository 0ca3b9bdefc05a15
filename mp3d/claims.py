"""Claims and verdicts.

A claim of `published/PAPER.yaml` names its test; a verdict is what the test says of a study's table (or, for an audit,
of the paper's own tables):

- holds         the 95 % interval of the paired difference lies beyond zero (or the margin) on the claimed side
- contradicted  it lies beyond on the other side
- open          it lies across; half its width is the effect that this run could have seen
- not run       the table lacks a variant or a metric, or there is nothing that could be measured

Differences are paired: same seeds, same scenes. Their interval resamples both (`study.interval`); of one seed it
resamples scenes alone, and the verdict's note says so.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from scipy.optimize import linprog

from mp3d.errors import BadInput
from mp3d.profiles import PROFILES
from mp3d.published import (
    AUDITS,
    Agree,
    Better,
    Claim,
    Compare,
    Equal,
    Increasing,
    Largest,
    Published,
    Ratio,
    Recompute,
    Similar,
    Weights,
    load,
    papers,
)
from mp3d.study import difference, interval, scene_weights

RELATIONS = {"<": np.less, "<=": np.less_equal, "=": np.equal, ">": np.greater, ">=": np.greater_equal}


class Run(BaseModel):
    """The run behind a verdict; `mp3d.notebook` fills it in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    notebook: str = ""
    profile: str = ""
    data: str = ""
    budget: float = 1.0
    device: str = ""
    revision: str = ""


class Verdict(Run):
    """What became of one claim.

    Parameters
    ----------
    claim : its id
    verdict : "holds", "contradicted", "open" or "not run"
    difference, low, high : of the comparison that decides, positive on the claimed side, with its 95 % interval; None
        for audits and exact tests
    unit : of these
    comparison : the one that decides: the weakest, if the claim names several
    seeds, scenes : how many were compared
    note : the figures of an audit, what is missing, or a limit
    """

    claim: str
    verdict: Literal["holds", "contradicted", "open", "not run"]
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    comparison: str = ""
    seeds: int = 0
    scenes: int = 0
    note: str = ""

    @property
    def resolution(self) -> float | None:
        """Half the interval's width: an effect of this size could have been seen."""
        return None if self.low is None else (self.high - self.low) / 2


def load_claims(paper: str, *starts: str) -> list[Claim]:
    """Claims on a paper, its own and ours, in the order of its file.

    Parameters
    ----------
    starts : only claims whose id begins so behind the paper's name, e.g. "T4", "ours.companions"; default: all

    Raises
    ------
    BadInput : a start that no claim has
    """
    claims = load(paper).claims
    for start in starts:
        if not any(claim.id.startswith(f"{paper}.{start}") for claim in claims):
            raise BadInput(f"claims of {paper}", "start", repr(start), "how a claim's id begins")
    wanted = tuple(f"{paper}.{start}" for start in starts)
    return [claim for claim in claims if not starts or claim.id.startswith(wanted)]


def judge(claims: Sequence[Claim], table: pd.DataFrame | None = None) -> list[Verdict]:
    """A verdict on each claim.

    Parameters
    ----------
    claims : of `load_claims`
    table : of `Study.table`: columns variant, seed, scene, n, and metrics; None judges audits alone

    Raises
    ------
    BadInput : the table lacks its key columns or repeats a (variant, seed, scene)
    """
    if table is not None and (lack := {"variant", "seed", "scene", "n"} - set(table)):
        raise BadInput("study table", "columns", list(table), f"also {sorted(lack)}")
    verdicts = []
    for claim in claims:
        if isinstance(claim.test, AUDITS):
            found = _audit(claim.test, load(claim.id.partition(".")[0]))
        elif claim.test is None:
            found = {"verdict": "not run"}
        elif table is None:
            found = {"verdict": "not run", "note": "no study"}
        elif isinstance(claim.test, Equal):
            found = _equal(claim.test, table, load(claim.id.partition(".")[0]))
        else:
            found = _measure(claim.test, table)
        found["note"] = "; ".join(filter(None, (found.get("note"), claim.note)))
        verdicts.append(Verdict(claim=claim.id, unit=claim.unit, **found))
    return verdicts


# ---- tests of a study ----------------------------------------------------------------------------


def _comparisons(test: Better | Similar | Increasing):
    """(label, metric and variant of the better side, of the other, sign) of each comparison in a test."""
    if isinstance(test, Increasing):
        for less, more in zip(test.increasing, test.increasing[1:], strict=False):
            yield f"{more} against {less}", (test.variant, more), (test.variant, less), 1
        return
    better, others, lower = (
        (test.better, test.than, test.lower_is_better) if isinstance(test, Better) else (test.similar, test.to, False)
    )
    for metric in [test.metric] if isinstance(test.metric, str) else test.metric:
        for other in others:
            label = f"{better} against {other}, {metric}"
            yield label, (better, metric), (other, metric), -1 if lower else 1


def _measure(test: Better | Similar | Increasing, table: pd.DataFrame) -> dict:
    comparisons = list(_comparisons(test))
    cells = {cell for _, *pair, _ in comparisons for cell in pair}
    if note := _missing(cells, table):
        return {"verdict": "not run", "note": note}
    found = []
    for label, better, other, sign in comparisons:
        paired = sign * difference(table, better, other)
        if paired.empty:
            return {"verdict": "not run", "note": f"{label}: no seed and scene in common"}
        found.append(_settle(test, label, paired, table, len(comparisons)))
    # An intersection is as good as its weakest part.
    order = ("contradicted", "open", "holds")
    return min(found, key=lambda f: (order.index(f["verdict"]), _slack(test, f)))


def _slack(test: Better | Similar | Increasing, found: dict) -> float:
    """How far a difference lies on the claimed side of what the test asks."""
    if isinstance(test, Similar):
        return test.margin - abs(found["difference"])
    return found["difference"]


def _settle(test, label: str, difference: pd.DataFrame, table: pd.DataFrame, number: int) -> dict:
    """The verdict on one comparison out of `number`."""
    values, weights = difference.to_numpy(), scene_weights(table, difference.columns, test.by)
    mean, low, high = interval(values, weights)
    found = {
        "difference": mean,
        "low": low,
        "high": high,
        "comparison": label,
        "seeds": len(values),
        "scenes": values.shape[1],
    }
    if values.size < 2:
        return found | {"verdict": "open", "low": None, "high": None, "note": "one seed, one scene: no interval"}
    if len(values) < 2:
        found["note"] = "one seed: the interval is of scenes alone, not of what another training would give"
    # All parts must hold, which needs no correction; one contradicted part is enough, which does (Bonferroni).
    _, wide_low, wide_high = interval(values, weights, 1 - 0.05 / number)
    if isinstance(test, Similar):
        holds = -test.margin < low and high < test.margin
        against = wide_low > test.margin or wide_high < -test.margin
    else:
        margin = getattr(test, "margin", 0.0)
        holds, against = low > margin, wide_high < margin
    return found | {"verdict": "holds" if holds else "contradicted" if against else "open"}


def _equal(test: Equal, table: pd.DataFrame, published: Published) -> dict:
    if note := _missing({(variant, test.metric) for variant in test.equal}, table):
        return {"verdict": "not run", "note": note}
    notes, good = [], True
    for variant, reference in test.equal.items():
        values = table.loc[table["variant"] == variant, test.metric].dropna().unique()
        if len(values) == 0:
            return {"verdict": "not run", "note": f"no {test.metric} of {variant}"}
        if len(values) > 1:
            raise BadInput("study table", test.metric, f"{len(values)} values for {variant}", "one")
        here, printed = f"{values[0] * test.scale:.{test.decimals}f}", published.number(reference)
        good &= here == f"{printed:.{test.decimals}f}"
        notes.append(f"{variant} {here} (printed {printed:.{test.decimals}f})")
    return {"verdict": "holds" if good else "contradicted", "note": ", ".join(notes)}


def _missing(cells: set[tuple[str, str]], table: pd.DataFrame) -> str:
    """Which (variant, metric) a table lacks, in words; "" if none."""
    variants = {variant for variant, _ in cells} - set(table["variant"])
    metrics = {metric for _, metric in cells} - set(table)
    parts = [("variant", variants), ("metric", metrics)]
    return ", ".join(f"no {what} {', '.join(sorted(names))}" for what, names in parts if names)


# ---- audits of the paper's own tables ------------------------------------------------------------


def _audit(test: Recompute | Compare | Largest | Ratio | Weights | Agree, published: Published) -> dict:
    good, note = _AUDIT[type(test)](test, published)
    return {"verdict": "holds" if good else "contradicted", "note": note}


def _recompute(test: Recompute, published: Published) -> tuple[bool, str]:
    figures = {row: published.recompute(test, row) for row in test.recompute}
    off = {row: abs(here - printed) for row, (here, printed) in figures.items()}
    wrong = [row for row in off if off[row] > test.tolerance + 1e-9]
    shown = wrong or [max(off, key=off.get)]
    minus = f" - {test.minus}" if test.minus else ""
    text = (f"{row}{minus} {round(figures[row][0], 2):.10g} (stated {figures[row][1]:g})" for row in shown)
    return not wrong, ", ".join(text)


def _compare(test: Compare, published: Published) -> tuple[bool, str]:
    left, exceptions, cells = published.row(test.compare, test.columns), [], 0
    for reference in test.to:
        for column, right in published.row(reference, test.columns).items():
            if column not in left or (column == "AVG" and not test.columns):
                continue
            cells += 1
            if not RELATIONS[test.relation](left[column], right):
                exceptions.append(f"{column} {left[column]:g} against {right:g}")
    if not cells:
        raise BadInput("published", "compare", test.compare, f"a column in common with {', '.join(test.to)}")
    if exceptions:
        return False, f"not in {len(exceptions)} of {cells}: {', '.join(exceptions)}"
    return True, f"in {cells} of {cells}"


def _largest(test: Largest, published: Published) -> tuple[bool, str]:
    row, over = published.row(test.row), published.row(test.over)
    sign = -1 if test.lower_is_better else 1
    gain = {c: round(sign * (row[c] - over[c]), 6) for c in row if c != "AVG"}
    order = sorted(gain, key=gain.get, reverse=True)
    last = max(sum(g >= min(gain[c] for c in test.largest) for g in gain.values()), len(test.largest))
    good = min(gain[c] for c in test.largest) >= max(gain[c] for c in gain if c not in test.largest)
    return good, ", ".join(f"{c} {gain[c]:+.1f}" for c in order[:last])


def _ratio(test: Ratio, published: Published) -> tuple[bool, str]:
    a, b, c, d = map(published.number, test.ratio)
    here, stated = (a - b) / (c - d), published.number(test.equals)
    return abs(here - stated) <= test.tolerance + 1e-9, f"{here:.3f} (stated {stated:g})"


def _weights(test: Weights, published: Published) -> tuple[bool, str]:
    columns, cells, stated = published.weighted(test)
    weights, deviation = fit_weights(cells, stated)
    shown = ", ".join(f"{c} {w:.3f}" for c, w in zip(columns, weights, strict=True) if w > 5e-4)
    return deviation <= test.tolerance + 1e-9, f"at best off by {deviation:.3f}, with weights {shown}"


def fit_weights(
    cells: Float[np.ndarray, "rows columns"], stated: Float[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, " columns"], float]:
    """The weighting of columns whose means come closest to stated ones, and its largest deviation.

    A linear programme in the weights w and the deviation t: the least t with |cells w - stated| <= t in every row,
    w >= 0 and sum w = 1. There may be several such weightings; one is returned.

    Parameters
    ----------
    cells : rows of numbers
    stated : what is said to be their weighted mean

    Returns
    -------
    weights : none negative, of sum 1
    deviation : the largest over rows, in the unit of `cells`
    """
    rows, columns = cells.shape
    slack = -np.ones((rows, 1))
    found = linprog(
        c=[*np.zeros(columns), 1],
        A_ub=np.block([[cells, slack], [-cells, slack]]),
        b_ub=[*stated, *-stated],
        A_eq=[[*np.ones(columns), 0]],
        b_eq=[1],
    )
    return found.x[:-1], float(found.x[-1])


def _agree(test: Agree, published: Published) -> tuple[bool, str]:
    here = published.number(test.agree)
    others = {reference: published.number(reference) for reference in test.others}
    good = all(abs(here - number) <= test.tolerance + 1e-9 for number in others.values())
    text = ", ".join(f"{reference} {number:g}" for reference, number in others.items())
    return good, f"{test.agree} {here:g}, {text}"


_AUDIT = {
    Recompute: _recompute,
    Compare: _compare,
    Largest: _largest,
    Ratio: _ratio,
    Weights: _weights,
    Agree: _agree,
}


# ---- stored verdicts, and how they are shown -----------------------------------------------------


def dumps(verdicts: Sequence[Verdict]) -> bytes:
    """The content of a claims.json."""
    return (json.dumps([verdict.model_dump() for verdict in verdicts], indent=1) + "\n").encode()


def read(path: Path) -> list[Verdict]:
    """The verdicts of a claims.json; `BadInput` names the file and the field of whatever is wrong with it."""
    try:
        return TypeAdapter(list[Verdict]).validate_json(Path(path).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "content"
        raise BadInput(path, field, repr(first["input"])[:80], first["msg"]) from None


def to_frame(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """One row a claim: statement, source, the paper's numbers, what was found here, the verdict, the run."""
    return pd.DataFrame([_row(verdict) for verdict in verdicts]).set_index("claim")


def _row(verdict: Verdict) -> dict:
    published = load(verdict.claim.partition(".")[0])
    claim = next((c for c in published.claims if c.id == verdict.claim), None)
    if claim is None:
        raise BadInput("verdict", "claim", repr(verdict.claim), "the id of a claim in published/")
    numbers = (
        f"{name} {n:.10g}" if isinstance(n, float) else f"{name} {n}" for name, n in published.numbers(claim).items()
    )
    return {
        "claim": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "paper": ", ".join(numbers),
        "here": _here(verdict),
        "verdict": verdict.verdict,
        "run": _run(verdict),
    }


def _here(verdict: Verdict) -> str:
    if verdict.difference is None:
        return verdict.note
    unit = f" {verdict.unit}" if verdict.unit else ""
    if verdict.low is None:
        text = f"{verdict.difference:+.2f}{unit}"
    else:
        text = f"{verdict.difference:+.2f}{unit} [{verdict.low:+.2f}, {verdict.high:+.2f}]"
    if verdict.verdict == "open" and verdict.low is not None:
        text += f", could have seen {verdict.resolution:.2f}{unit}"
    return "; ".join(filter(None, (f"{text} ({verdict.comparison})", verdict.note)))


def _run(verdict: Verdict) -> str:
    if not verdict.seeds:
        return " ".join(filter(None, (verdict.notebook, verdict.profile)))
    parts = (
        f"{verdict.notebook} {verdict.profile}".strip(),
        verdict.data,
        f"{verdict.seeds} seeds x {verdict.scenes} scenes",
        verdict.device,
        f"budget {verdict.budget:g}" if verdict.budget != 1 else "",
    )
    return ", ".join(filter(None, parts))


def accepted(figures_dir: Path, profile: str | None = None) -> pd.DataFrame:
    """Every published claim with the verdict of the best accepted run that judged it, as `to_frame` shows it.

    A run of the full budget is better than one that was cut short, whatever their profiles; then the larger profile
    counts, then the larger budget, then more seeds. Runs of the smoke profile show that a notebook runs, and settle
    nothing.

    Parameters
    ----------
    figures_dir : holds NAME/PROFILE/claims.json of accepted runs
    profile : only runs of this profile; default: all but "smoke"

    Raises
    ------
    BadInput : a stored verdict that cannot be read, or on a claim that is no longer there
    """
    stored = [
        verdict
        for path in sorted(Path(figures_dir).glob("*/*/claims.json"))
        if path.parent.name == (profile or path.parent.name) and (profile or path.parent.name != "smoke")
        for verdict in read(path)
        if verdict.verdict != "not run"
    ]
    rank = {name: index for index, name in enumerate(PROFILES)}
    stored.sort(key=lambda v: (v.budget >= 1, rank.get(v.profile, -1), v.budget, v.seeds))
    chosen = {v.claim: v for paper in papers() for v in judge(load_claims(paper))}
    settled = {claim for claim, v in chosen.items() if v.verdict != "not run"}  # audits: always fresh
    for verdict in stored:  # the best comes last and stays
        if verdict.claim not in settled:
            _row(verdict)  # refuses a claim that is gone
            chosen[verdict.claim] = verdict
    return to_frame(list(chosen.values()))


def markdown_table(frame: pd.DataFrame) -> str:
    """A frame of `to_frame` as a Markdown table."""
    columns = {
        "statement": "Claim",
        "source": "Source",
        "paper": "Paper",
        "here": "Here",
        "verdict": "Verdict",
        "run": "Run",
    }
    lines = [" | ".join(columns.values()), " | ".join("---" for _ in columns)]
    for _, row in frame.iterrows():
        mark = f"**{row['verdict']}**" if row["verdict"] in ("holds", "contradicted") else row["verdict"]
        cells = [mark if c == "verdict" else str(row[c]).replace("|", r"\|") for c in columns]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def _asked(paper: str) -> bool:
    """Whether a study is asked anything about the paper, so that it has been rebuilt here."""
    return any(claim.test and not isinstance(claim.test, AUDITS) for claim in load_claims(paper))


def readme_block(figures_dir: Path) -> str:
    """The README's generated tables: each paper's claims, our controls, and the audits that are contradicted."""
    frame = accepted(figures_dir)
    blocks = []
    for paper in sorted(papers(), key=lambda paper: not _asked(paper)):  # first what was run
        of_paper = frame[frame.index.str.startswith(f"{paper}.")]
        counts = of_paper["verdict"].value_counts()
        shown = [f"{counts.get(v, 0)} {v}" for v in ("holds", "contradicted", "open", "not run")]
        blocks.append(f"### {load(paper).title}\n\n{len(of_paper)} claims: {', '.join(shown)}.")
        sections = {
            "What the paper claims": lambda c: c.by == "paper" and ".audit." not in c.id,
            "Controls that the paper lacks": lambda c: c.by == "mp3d" and ".audit." not in c.id,
            "Remarks that no arithmetic decides": lambda c: c.test is None and ".audit." in c.id,
        }
        for heading, belongs in sections.items():
            rows = of_paper.loc[[c.id for c in load_claims(paper) if belongs(c)]]
            if len(rows):
                blocks.append(f"**{heading}**\n\n{markdown_table(rows)}")
        audits = of_paper.loc[[c.id for c in load_claims(paper) if isinstance(c.test, AUDITS)]]
        against = audits[audits["verdict"] == "contradicted"]
        if len(audits):
            held = f"{len(audits) - len(against)} of {len(audits)} audits hold (`mp3d claims` lists them)"
            title = "The paper's words and figures against its own tables"
            blocks.append(f"**{title}**\n\n{held}; the others do not:\n\n{markdown_table(against)}")
    return "\n\n".join(blocks) + "\n"
