"""The papers' printed averages beside those that their own rows give; no number of a paper stands here."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mp3d.claims import judge, load_claims, to_frame
from mp3d.published import AUDITS, Published, Recompute, load

NAMES = {"pinet": "PI-Net", "smap": "SMAP", "orpm_ae": "ORPM-AE", "pandanet": "PandaNet", "tdbu": "TDBU"}
"""How the papers are called."""

WEIGHTS = {
    "pinet:T1_all": "mupots/instances",
    "pinet:T1_matched": "matched",
    "pinet:T2_pa": "mupots/instances",
    "pinet:T2_mpjpe": "mupots/instances",
    "pinet:T3": "joints/count",
    "orpm_ae:T1": "weights/own",
    "orpm_ae:T2": None,
    "pandanet:T4": "joints/count",
    "pandanet:T5": "orpm_ae:weights/own",
    "smap:T1_mpjpe": "orpm_ae:weights/own",
    "smap:T1_rterror": None,
    "smap:T1_pcod": None,
    "smap:T6": None,
    "smap:T7": "pinet:matched",
    "smap:T8_all": "pinet:mupots/instances",
    "smap:T8_matched": None,
    "smap:T9": "pinet:mupots/instances",
}
"""Tables with averages, as "paper:table", and the weights that may be behind them: "table/row", or a table with a row
of the same name, of any paper; None where nothing is known of them. PandaNet's Table 3 is left out: it has an average
over people and no plain one."""


def averages(weights: Mapping[str, str | None] = WEIGHTS) -> pd.DataFrame:
    """Printed averages and recomputed ones, a row a row of a table that prints both.

    Returns
    -------
    columns paper, table, row, unit, printed, plain (mean of the row's cells), weighted (NaN without weights for the
    row), and off_plain, off_weighted: printed minus recomputed
    """
    out = []
    for key, source in weights.items():
        paper, table = key.split(":")
        published = load(paper)
        for row in published.tables[table].rows:
            if set(published.row(f"{table}/{row}")) == {"AVG"}:
                continue  # cited by its average alone
            plain, printed = _recompute(published, table, row, None)
            weighted = _recompute(published, table, row, source)[0] if _has(paper, source, row) else np.nan
            out.append((paper, table, row, published.tables[table].unit, printed, plain, weighted))
    df = pd.DataFrame(out, columns=["paper", "table", "row", "unit", "printed", "plain", "weighted"])
    return df.assign(off_plain=df["printed"] - df["plain"], off_weighted=df["printed"] - df["weighted"])


def unexplained(means: pd.DataFrame) -> pd.DataFrame:
    """The rows of `averages` that neither mean explains to 0.1."""
    off = means[(means["off_plain"].abs() > 0.1) & ~(means["off_weighted"].abs() <= 0.1)]
    return off[["paper", "table", "row", "printed", "plain", "weighted"]].reset_index(drop=True)


def notable(means: pd.DataFrame) -> pd.DataFrame:
    """Of four tables the rows whose printed average is no plain mean, named for a figure; none more than 4 off."""
    named = means.assign(table=means["paper"].map(NAMES) + " " + means["table"].str.replace("_", " "))
    chosen = named["table"].isin(["PI-Net T1 all", "PI-Net T2 mpjpe", "ORPM-AE T1", "PandaNet T5"])
    return named[chosen & named["off_plain"].abs().between(0.1, 4)]


def _has(paper: str, weights: str | None, row: str) -> bool:
    """Whether there are weights for this row."""
    if weights is None or "/" in weights:
        return weights is not None
    other, _, table = weights.rpartition(":")
    return row in load(other or paper).tables[table].rows


def _recompute(published: Published, table: str, row: str, weights: str | None) -> tuple[float, float]:
    test = Recompute(recompute=[row], table=table, weights=weights, equals="AVG", tolerance=0)
    return published.recompute(test, row)


def findings(paper: str) -> pd.DataFrame:
    """Every audit of a paper's words and tables, judged: statement, source, here, verdict by claim."""
    claims = [claim for claim in load_claims(paper) if isinstance(claim.test, AUDITS)]
    return to_frame(judge(claims))[["statement", "source", "here", "verdict"]]


def remarks() -> pd.DataFrame:
    """What was read and cannot be recomputed: a row a remark, columns paper, statement, source, remark."""
    rows = [
        (name, claim.statement, claim.source, claim.note)
        for paper, name in NAMES.items()
        for claim in load(paper).claims
        if claim.test is None and ".audit." in claim.id
    ]
    return pd.DataFrame(rows, columns=["paper", "statement", "source", "remark"])


def counts() -> pd.DataFrame:
    """How many audits of each paper there are, hold, and are contradicted."""
    rows = {NAMES[paper]: findings(paper)["verdict"].value_counts() for paper in NAMES}
    table = pd.DataFrame(rows).T.reindex(columns=["holds", "contradicted"]).fillna(0).astype(int)
    table.insert(0, "audits", table.sum(axis=1))
    return table.rename_axis(columns=None)


CITED = {
    "3DMPPE": (
        "pinet:threedmppe/all",
        "pinet:T1_all/3DMPPE",
        "smap:T2_all/3DMPPE",
        "pandanet:T6/3DMPPE",
        "tdbu:T3/3DMPPE",
    ),
    "SingleShot": ("pinet:T1_all/SingleShot", "smap:T2_all/SingleShot", "pandanet:T6/SingleShot", "tdbu:T3/SingleShot"),
}
"""Where papers print a method's 3DPCK on MuPoTS-3D over all people, or under a header that does not say over whom."""


def cited() -> pd.DataFrame:
    """3DPCK (%) of `CITED` methods as each paper prints it: a row a method, a column a place; NaN where it is not."""
    columns = {"pinet:threedmppe": "its own paper", "pinet:T1_all": "PI-Net", "smap:T2_all": "SMAP"}
    columns |= {"pandanet:T6": "PandaNet", "tdbu:T3": "TDBU"}
    out = {}
    for method, rows in CITED.items():
        for place in rows:
            cells = load("pinet").row(place)
            out.setdefault(columns[place.split("/")[0]], {})[method] = next(
                cells[name] for name in ("AVG", "PCK_rel", "3DPCK", "PCK") if name in cells
            )
    return pd.DataFrame(out)
