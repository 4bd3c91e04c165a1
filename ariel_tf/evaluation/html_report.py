"""A comparison as one HTML page, from the template `report.html`: no scripts, and no assets outside the file."""

import base64
import html
import importlib.resources
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ariel_tf.challenge import PERFECT_SCORE
from ariel_tf.core.printable import printable
from ariel_tf.evaluation import breakdown, calibration
from ariel_tf.evaluation.baselines import DESCRIPTIONS
from ariel_tf.evaluation.bootstrap import Interval, difference, score_interval
from ariel_tf.evaluation.report_sections import PICTURES, SECTIONS
from ariel_tf.evaluation.tables import GROUPS
from ariel_tf.runs import shipped
from ariel_tf.runs.committed import has_scores, read_meta, read_scores

if TYPE_CHECKING:
    from ariel_tf.evaluation.comparison import Comparison, RunEntry


def page(comparison: "Comparison", pictures: Iterable[Path], command: str, date: str) -> str:
    """Return the whole page.

    Args:
        comparison: comparison of one run or more.
        pictures: SVG files, as `figures.draw_all` returns them.
        command: command that makes this page again.
        date: today's date as text.
    """
    drawn = {path.stem: path for path in pictures}
    several = len(comparison.entries) > 1
    absent = {*PICTURES} - {*drawn} | (set() if several else {"differences"})
    learnt = f" They learned from {_text(comparison.learnt_from)}." if comparison.learnt_from else ""
    template = string.Template(_resource("report.html"))
    return template.substitute(
        style=_resource("report.css"),
        title=_text(", ".join(entry.name for entry in comparison.runs)),
        date=_text(date),
        lead=_lead(comparison),
        contents="".join(
            f'<li><a href="#{name}">{title}</a></li>' for name, title in SECTIONS.items() if name not in absent
        ),
        **{f"heading_{name}": _heading(name) for name in ("scores", "groups", "runs", "reading")},
        ladder=_figure("ladder", drawn["ladder"], heading=False) if "ladder" in drawn else "",
        ladder_table=_ladder_table(comparison),
        differences=_differences(comparison) if several else "",
        figures="\n".join(
            _figure(name, drawn[name]) + (_coverage_table(comparison) if name == "reliability" else "")
            for name in PICTURES
            if name in drawn and name != "ladder"
        ),
        groups="\n".join(_groups(comparison, title) for title in GROUPS),
        runs="\n".join(_run_card(comparison, entry) for entry in comparison.runs),
        learnt_from=learnt,
        command=_text(command),
    )


def _heading(name: str) -> str:
    return f'<h2 id="{name}">{SECTIONS[name]}</h2>\n'


def _resource(name: str) -> str:
    """Return a text file of this package."""
    return importlib.resources.files("ariel_tf.evaluation").joinpath(name).read_text(encoding="utf-8")


def _text(value: Any) -> str:
    return html.escape(printable(str(value)))


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _bounds(interval: Interval, sign: str = "") -> str:
    return f"{interval.low:{sign},.0f} to {interval.high:{sign},.0f}"


def _table(header: Sequence[str], rows: Iterable[tuple[bool, Sequence[str]]], words: Sequence[int] = ()) -> str:
    """Return a table; rows are (whether of a run, cells), cells are HTML. `words` are the columns of running text."""

    def cell(kind: str, index: int, content: str) -> str:
        return f"<{kind}{' class=words' if index in words else ''}>{content}</{kind}>"

    head = "".join(cell("th", index, content) for index, content in enumerate(header))
    body = "\n".join(
        f"<tr{' class=run' if run else ''}>{''.join(cell('td', i, content) for i, content in enumerate(cells))}</tr>"
        for run, cells in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _lead(comparison: "Comparison") -> str:
    """Return the result in a sentence or two."""
    best = max(comparison.runs, key=lambda entry: entry.losses.score("planet"))
    interval = score_interval(best.losses, "planet")
    planets = len(comparison.population.planets)
    count = len(comparison.wavelengths)
    which = f"wavelength {comparison.wavelengths[0]}" if count == 1 else f"{count} wavelengths"
    said = (
        f"<strong>{_text(best.name)}</strong> scores <strong>{_number(interval.value)}</strong> "
        f"({_bounds(interval)}; 10,000 is perfect) on {planets} planets, {which}: it errs by "
        f"{_number(PERFECT_SCORE - interval.value)} ppm of the star's light."
    )
    beside = {entry.name: entry.losses.score("planet") for entry in comparison.references}
    known = [
        f"{word} {_number(beside[name])}"
        for name, word in (
            ("constant", "a constant prediction scores"),
            ("transit-fit", "a classical fit with the known orbit"),
            ("photon-limit+shape", "the limit of photon noise and known spectral shapes is"),
        )
        if name in beside
    ]
    more = f" On the same planets {', '.join(known)}." if known else ""
    used = {role for role in comparison.roles.values() if "no test score" in role}
    warning = f"<p><strong>Not a test score: {_text('; '.join(sorted(used)))}.</strong></p>" if used else ""
    return f'<p class="lead">{said}{more}</p>{warning}'


def _ladder_table(comparison: "Comparison") -> str:
    runs = set(map(id, comparison.runs))
    rows = []
    for entry in reversed(comparison.ladder):
        interval = score_interval(entry.losses, "planet")
        rows.append(
            (
                id(entry) in runs,
                (
                    _text(entry.name),
                    _number(interval.value),
                    _bounds(interval),
                    _number(entry.losses.score("observation")),
                    _number(entry.losses.score("planet", weighted=True)),
                    _text(DESCRIPTIONS.get(entry.name, "")),
                ),
            )
        )
    header = ("", "score", "95 % of resampled planets", "one observation", "weighted", "")
    return _table(header, rows, words=(5,))


def _coverage_table(comparison: "Comparison") -> str:
    """Return coverage and log-likelihood score of each run with uncertainty."""
    rows = []
    for name, measured in comparison.uncertain.items():
        shares = [f"{share.value:.1%} &plusmn; {share.error:.1%}" for share in calibration.coverage(measured).values()]
        rows.append((True, (_text(name), *shares, f"{calibration.likelihood_score(measured):.3f}")))
    expected = [f"within {name} ({share:.1%})" for name, (share, _) in calibration.COVERAGE.items()]
    return _table(("", *expected, "log-likelihood score"), rows)


def _differences(comparison: "Comparison") -> str:
    first, *others = comparison.entries
    runs = set(map(id, comparison.runs))
    rows = []
    for entry in others:
        change, better = difference(first.losses, entry.losses, "planet")
        cells = (_text(entry.name), f"{change.value:+,.0f}", _bounds(change, "+"), f"{better:.0%}")
        rows.append((id(entry) in runs, cells))
    header = (f"{_text(first.name)} against", "difference", "95 % of resampled planets", "better on")
    return (
        f"{_heading('differences')}<p>All entries are scored on the same planets, so the luck of the choice of planets "
        f"cancels in the differences.</p>\n{_table(header, rows)}"
    )


def _groups(comparison: "Comparison", title: str) -> str:
    shown = comparison.for_table()
    rows = []
    for group in GROUPS[title](comparison.population):
        scores = [_number(breakdown.score_of(entry.losses, group, "planet")) for entry in shown]
        rows.append((False, (_text(group.label), str(len(group.rows)), *scores)))
    return _table((_text(title), "planets", *(_text(entry.name) for entry in shown)), rows)


def _figure(name: str, path: Path, heading: bool = True) -> str:
    title, caption = PICTURES[name]
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    # On a narrow screen the ladder shrinks, so that its better end is visible; the others scroll and stay legible.
    size = {"ladder": "", "spectra": " wide", "light_curves": " wide"}.get(name, " legible")
    above = _heading(name) if heading else ""
    image = f'<img alt="{_text(title)}" src="data:image/svg+xml;base64,{data}">'
    return f'{above}<figure><div class="picture{size}">{image}</div><figcaption>{caption}</figcaption></figure>'


def _run_card(comparison: "Comparison", entry: "RunEntry") -> str:
    """Return one run: model, data, folds, best epoch, machine, command, all options."""
    trained, path = entry.trained, entry.trained.path
    configuration = trained.configuration
    meta, scores = read_meta(path), read_scores(path) if has_scores(path) else {}
    facts = {
        "model": configuration.get("model") or configuration.get("ensemble"),
        "predicts": _wavelengths(configuration.get("wavelength")),
        "data": f"{trained.data} ({trained.fingerprint[:12]})",
        **{f"{part} planets": _part(its) for part, its in meta.get("folds", {}).items()},
        "best epoch": f"{scores['best_epoch']} of {scores['epochs']}" if scores.get("epochs") else None,
        "scored on": comparison.roles[entry.name],
        "folder": path,
        "meta.json": None
        if meta or shipped.is_pretrained(path)
        else "is gone, and with it the folds, versions and command",
        **_session(meta),
    }
    listed = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts.items() if value)
    options = {name: value for name, value in configuration.items() if name != "settings"}
    settings = options | dict(configuration.get("settings") or {})
    inner = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in settings.items())
    command = f"<p class=soft>Train it again with</p><pre>{_text(meta['command'])}</pre>" if "command" in meta else ""
    return (
        f'<div class="card"><h3>{_text(entry.name)}</h3><dl>{listed}</dl>{command}'
        f"<details><summary>all options and settings</summary><dl>{inner}</dl></details></div>"
    )


def _wavelengths(value: Any) -> str:
    return "all wavelengths jointly" if value == "joint" else f"wavelength {value}"


def _part(part: dict[str, Any]) -> str:
    folds = ", ".join(map(str, part["folds"]))
    return f"{part['planets']:,}, {part['observations']:,} observations (folds {folds})"


def _session(meta: dict[str, Any]) -> dict[str, Any]:
    """Return machine and versions of the last start."""
    if not meta.get("sessions"):
        return {}
    last = meta["sessions"][-1]
    hardware, versions = last.get("hardware", {}), last.get("versions", {})
    gpus = ", ".join(hardware.get("gpus", [])) or "no GPU"
    wanted = ("python", "tensorflow", "keras")
    return {
        "machine": f"{hardware.get('cpus')} CPUs, {gpus}" if hardware else None,
        "versions": ", ".join(f"{name} {versions[name]}" for name in wanted if name in versions),
        "commit": last.get("commit"),
    }
