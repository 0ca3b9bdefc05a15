"""The papers' numbers and claims, one YAML file a paper: the only place where they stand.

A file holds `tables` (the paper's, cell by cell, and what a recomputation needs), `facts` (numbers of the text) and
`claims`. A claim's `paper` numbers and its audit *refer* to cells, as "T4/Intuitive/MPJPE" or "facts/parameters", so
that no number stands twice; `load` checks every reference. "pinet:T1_all/3DMPPE/AVG" refers to another paper's file,
which is read only when the claim is judged or shown, so that two papers may refer to each other.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import numpy as np
import yaml
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from mp3d.errors import BadInput


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(_Record):
    """A printed table: rows of numbers under named columns; None where the paper prints a dash."""

    caption: str
    source: str
    unit: str
    protocol: str
    columns: list[str]
    rows: dict[str, list[float | None]]

    @model_validator(mode="after")
    def _shape(self) -> "Table":
        for name, row in self.rows.items():
            if len(row) != len(self.columns):
                raise ValueError(f"row {name!r} has {len(row)} cells, there are {len(self.columns)} columns")
        return self


class Fact(_Record):
    """A number of the text."""

    value: float
    unit: str
    source: str
    statement: str


class Better(_Record):
    """`better` refines better than each of `than`, in each metric, by more than `margin`.

    `by` names the mean: over instances (MPJPE) or over scenes (3DPCK). A negative margin asks for "not worse by more".
    """

    better: str
    than: list[str] = Field(min_length=1)
    metric: str | list[str]
    lower_is_better: bool
    by: Literal["instance", "scene"] = "instance"
    margin: float = 0.0


class Similar(_Record):
    """`similar` differs from each of `to`, in each metric, by less than `margin` to either side."""

    similar: str
    to: list[str] = Field(min_length=1)
    metric: str | list[str]
    margin: float = Field(gt=0)
    by: Literal["instance", "scene"] = "instance"


class Increasing(_Record):
    """In one variant, each of these metrics is larger than the one before it."""

    increasing: list[str] = Field(min_length=2)
    variant: str
    by: Literal["instance", "scene"] = "instance"


class Equal(_Record):
    """A metric of each variant, times `scale`, prints as the referenced number at `decimals` decimals."""

    equal: dict[str, str]
    metric: str
    scale: float = 1.0
    decimals: int = 0


class Recompute(_Record):
    """Audit: a figure recomputed from each of these rows agrees, to within `tolerance`, with what is printed.

    `minus` is subtracted first, cell by cell: a row of the same table or "table/row". `how` reduces the columns, by
    default all but AVG; `weights` names a "table/row" of weights, or a table with a row of the same name. `equals` is a
    column of the same row, a reference, or a number.
    """

    recompute: list[str] = Field(min_length=1)
    minus: str | None = None
    table: str
    columns: list[str] | None = None
    how: Literal["mean", "sum", "min"] = "mean"
    weights: str | None = None
    equals: float | str
    tolerance: float = Field(ge=0)


class Compare(_Record):
    """Audit: a row stands in the relation to each of `to` in every column that both have, as "table/row".

    `columns` are by default all but AVG.
    """

    compare: str
    relation: Literal["<", "<=", "=", ">", ">="]
    to: list[str] = Field(min_length=1)
    columns: list[str] | None = None


class Largest(_Record):
    """Audit: the gain of a row over `over`, in columns other than AVG, is largest in exactly the columns named."""

    largest: list[str] = Field(min_length=1)
    row: str
    over: str
    lower_is_better: bool


class Ratio(_Record):
    """Audit: (a - b) / (c - d) of four references or numbers equals a number."""

    ratio: tuple[str | float, str | float, str | float, str | float]
    equals: float | str
    tolerance: float = Field(ge=0)


class Weights(_Record):
    """Audit: one vector of weights, none negative, of sum 1, gives `equals` of every row to within `tolerance`.

    `equals` is a column of the same rows, `columns` are by default all others. A linear programme seeks the weights
    whose largest deviation is least: what these weights miss, every weighting misses.
    """

    weighted: list[str] = Field(min_length=1)
    table: str
    columns: list[str] | None = None
    equals: str
    tolerance: float = Field(ge=0)


class Agree(_Record):
    """Audit: a number agrees, to within `tolerance`, with what other places, or other papers, give for it."""

    agree: str
    others: list[str] = Field(alias="with", min_length=1)
    tolerance: float = Field(ge=0)


_KINDS = (Better, Similar, Increasing, Equal, Recompute, Compare, Largest, Ratio, Weights, Agree)
TESTS = {next(iter(test.model_fields)): test for test in _KINDS}
"""Each test by its first field, by which a file's test is known."""
AUDITS = (Recompute, Compare, Largest, Ratio, Weights, Agree)
"""Tests of the paper's own numbers: they need no study."""


def _kind(test: object) -> str | None:
    """A test is known by its leading key."""
    keys = test if isinstance(test, dict) else type(test).model_fields
    return next((kind for kind in TESTS if kind in keys), None)


Test = Annotated[
    Annotated[Better, Tag("better")]
    | Annotated[Similar, Tag("similar")]
    | Annotated[Increasing, Tag("increasing")]
    | Annotated[Equal, Tag("equal")]
    | Annotated[Recompute, Tag("recompute")]
    | Annotated[Compare, Tag("compare")]
    | Annotated[Largest, Tag("largest")]
    | Annotated[Ratio, Tag("ratio")]
    | Annotated[Weights, Tag("weighted")]
    | Annotated[Agree, Tag("agree")],
    Discriminator(_kind),
]


class Claim(_Record):
    """A statement, whose it is, where it stands, and the test that settles it.

    Parameters
    ----------
    id : "paper.place.name"
    statement : in our words, so that it can be true or false
    by : "paper" if the paper says it, "mp3d" if we do (counter-claims, controls)
    paper : the numbers behind it, as references or short texts
    unit : of the measured difference
    test : None where nothing can be measured; `note` says why
    """

    id: str = Field(pattern=r"^[a-z_]+\.[A-Za-z0-9_]+\.[a-z0-9_]+$")
    statement: str
    source: str
    by: Literal["paper", "mp3d"] = "paper"
    paper: dict[str, str] = {}
    unit: str = ""
    note: str = ""
    test: Test | None


class Published(_Record):
    """One paper's file."""

    paper: str
    title: str
    tables: dict[str, Table]
    facts: dict[str, Fact]
    claims: list[Claim]

    @model_validator(mode="after")
    def _references(self) -> "Published":
        ids = [claim.id for claim in self.claims]
        if twice := {i for i in ids if ids.count(i) > 1}:
            raise ValueError(f"claims defined twice: {sorted(twice)}")
        for claim in self.claims:
            try:
                self._check(claim)
            except KeyError as error:
                raise ValueError(f"{claim.id}: {error.args[0]}") from None
        return self

    def _check(self, claim: Claim) -> None:
        if not claim.id.startswith(f"{self.paper}."):
            raise KeyError(f"the id must begin with {self.paper!r}")
        if claim.test is None and not claim.note:
            raise KeyError("without a test there must be a note that says why")
        for value in claim.paper.values():
            if "/" in value:
                self._check_number(value)
        match claim.test:
            case Recompute() as t:
                # A number of another paper cannot be looked up yet; the rest of the test can.
                own = t.model_copy(
                    update={k: None for k in ("minus", "weights") if _elsewhere(getattr(t, k))}
                    | ({"equals": 0.0} if _elsewhere(t.equals) else {})
                )
                for row in t.recompute:
                    self.recompute(own, row)
            case Compare() as t:
                for row in (t.compare, *t.to):
                    if not _elsewhere(row):
                        self.row(row, t.columns)
            case Largest() as t:
                for row in (t.row, t.over):
                    self.row(row, t.largest)
            case Ratio() as t:
                for value in (*t.ratio, t.equals):
                    self._check_number(value)
            case Equal() as t:
                for value in t.equal.values():
                    self._check_number(value)
            case Weights() as t:
                self.weighted(t)
            case Agree() as t:
                for value in (t.agree, *t.others):
                    self._check_number(value)

    def _check_number(self, reference: str | float) -> None:
        if not _elsewhere(reference):
            self.number(reference)

    def row(self, reference: str, columns: list[str] | None = None) -> dict[str, float]:
        """The cells of "table/row" by column, of the columns named (default: all that have a number).

        Raises
        ------
        KeyError : not in this paper's file
        BadInput : not in the file of the other paper that is named
        """
        if other := _elsewhere(reference):
            return _look_up(other, Published.row, columns)
        table_name, _, row_name = reference.partition("/")
        table = _get(self.tables, table_name, "table")
        cells = dict(zip(table.columns, _get(table.rows, row_name, f"row of {table_name}"), strict=True))
        if columns is None:
            return {column: cell for column, cell in cells.items() if cell is not None}
        chosen = {c: _get(cells, c, f"column of {table_name}") for c in columns}
        if empty := [c for c, cell in chosen.items() if cell is None]:
            raise KeyError(f"{reference} has no number in {empty}")
        return chosen

    def number(self, reference: str | float) -> float:
        """The number behind "table/row/column" or "facts/name"; a number stands for itself."""
        if not isinstance(reference, str):
            return reference
        if other := _elsewhere(reference):
            return _look_up(other, Published.number)
        head, _, column = reference.rpartition("/")
        if head == "facts":
            return _get(self.facts, column, "fact").value
        return self.row(head, [column])[column]

    def recompute(self, test: Recompute, row: str) -> tuple[float, float]:
        """A row's figure as recomputed and as printed."""
        reference = f"{test.table}/{row}"
        cells = self.row(reference, test.columns)
        if test.columns is None:
            cells.pop("AVG", None)
        values = np.array(list(cells.values()))
        if test.minus is not None:
            other = test.minus if "/" in test.minus else f"{test.table}/{test.minus}"
            values = values - list(self.row(other, list(cells)).values())
        weights = None
        if test.weights:
            source = test.weights if "/" in test.weights else f"{test.weights}/{row}"
            weights = list(self.row(source, list(cells)).values())
        reduce = {"mean": np.mean, "sum": np.sum, "min": np.min}[test.how]
        here = np.average(values, weights=weights) if weights else reduce(values)
        of_row = isinstance(test.equals, str) and "/" not in test.equals
        return float(here), self.number(f"{reference}/{test.equals}" if of_row else test.equals)

    def weighted(
        self, test: Weights
    ) -> tuple[list[str], Float[np.ndarray, "rows columns"], Float[np.ndarray, " rows"]]:
        """The columns to weigh, each row's cells in them, and what each row states as their weighted mean."""
        names = _get(self.tables, test.table, "table").columns
        columns = [c for c in names if c != test.equals] if test.columns is None else test.columns
        rows = [self.row(f"{test.table}/{row}", [*columns, test.equals]) for row in test.weighted]
        cells = np.array([[row[column] for column in columns] for row in rows])
        return columns, cells, np.array([row[test.equals] for row in rows])

    def numbers(self, claim: Claim) -> dict[str, float | str]:
        """A claim's `paper` entries with references replaced by their numbers."""
        return {name: self.number(v) if "/" in v else v for name, v in claim.paper.items()}


def _elsewhere(reference: object) -> re.Match | None:
    """The paper and the rest of a reference to another paper's file, "paper:rest"; None for any other."""
    return re.fullmatch(r"([a-z_]+):(.+)", reference) if isinstance(reference, str) else None


def _look_up(reference: re.Match, get: Callable, *args):
    """What `get` finds behind a reference to another paper's file."""
    paper, rest = reference.groups()
    try:
        return get(load(paper), rest, *args)
    except KeyError as error:
        raise BadInput(f"published/{paper}.yaml", "reference", repr(rest), error.args[0]) from None


def _get(mapping: dict, key: str, what: str):
    if key not in mapping:
        raise KeyError(f"no {what} {key!r}; there are {list(mapping)}")
    return mapping[key]


def papers() -> list[str]:
    """The papers whose numbers are here."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


@cache
def load(paper: str) -> Published:
    """Read one paper's numbers and claims.

    Parameters
    ----------
    paper : e.g. "pinet"

    Raises
    ------
    BadInput : no such paper, or a file whose fields or references are wrong
    """
    if paper not in papers():
        raise BadInput("published", "paper", repr(paper), f"one of {papers()}")
    return parse((resources.files(__name__) / f"{paper}.yaml").read_text(encoding="utf-8"), paper)


def parse(text: str, name: str) -> Published:
    """The same from text; `name` is what an error calls it."""
    try:
        return Published.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise BadInput(name, "file", str(error).splitlines()[0], "YAML") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "claims"
        found = "nothing" if first["type"] == "missing" else repr(first["input"])[:80]
        raise BadInput(name, field, found, first["msg"]) from None
