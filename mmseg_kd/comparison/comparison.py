"""Comparison of runs: grouped by candidate, averaged over seeds, and set against the baseline."""

import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..io.configs import flatten
from ..io.image_confusion import ImageConfusion
from ..io.runs import Run
from .comparability import (
    OPEN_BUDGETS,
    Difference,
    architecture,
    find_differences,
    fixed_settings,
    short_keys,
    shown,
    training_settings,
    varied_keys,
)
from .image_bootstrap import ImageDifference, image_difference, validated_images
from .statistics import PairedDifference, Spread, as_good_as_best, paired_difference, spread

BASELINE, TEACHER = 'baseline', 'teacher'
NAMED_KEYS = 3


@dataclass
class Row:
    """Runs that differ only in the seed.

    Args:
        name: name of the row, unique in the comparison.
        role: ``'baseline'`` (the student without a teacher), ``'distilled'``, ``'teacher'``, or ``'other'``.
        runs: runs ordered by seed.
        settings: settings of the config, by dotted key.
        miou: mIoU in percent.
        class_iou: IoU of every class in the logs, in percent.
        gain: mean mIoU minus that of the baseline; None without a baseline, and for the baseline.
        paired: paired difference from the baseline by seed; None without a common seed.
        over_images: gain with its interval over validation images; None if a run has no confusion matrices.
        standing: ``'best'``, ``'within'`` one std of the best, or ``''``.
        class_standing: standing in the IoU of every class.
        chosen: settings that a sweep varied for this candidate, with the chosen values.

    Example:
        >>> from pathlib import Path
        >>> Row('cwd', 'distilled', [Run(Path('cwd'))], {}, Spread(60.0, None, 1), {}).miou.mean
        60.0
    """

    name: str
    role: str
    runs: list[Run]
    settings: dict[str, Any]
    miou: Spread
    class_iou: dict[str, Spread]
    gain: float | None = None
    paired: PairedDifference | None = None
    over_images: ImageDifference | None = None
    standing: str = ''
    class_standing: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)

    @property
    def fscore(self) -> Spread | None:
        """Mean F1 in percent; None unless all runs measured it."""
        values = [run.fscore for run in self.runs if run.fscore is not None]
        return spread(values) if len(values) == len(self.runs) else None

    @property
    def iterations(self) -> float:
        """Mean number of iterations."""
        return sum(run.iterations for run in self.runs) / len(self.runs)

    @property
    def seconds(self) -> float | None:
        """Mean training time of the runs that logged it."""
        return _mean(run.seconds for run in self.runs)

    @property
    def memory(self) -> float | None:
        """Peak GPU memory over all runs, in MiB."""
        return max((run.memory for run in self.runs if run.memory is not None), default=None)


class Variation(NamedTuple):
    """Results of one candidate for several values of some settings.

    Args:
        name: name of the candidate, and of the sweep's stage.
        keys: config keys of the varied settings.
        results: a value for each key, and the mIoU in percent.

    Example:
        >>> Variation('pi in tune', ['lr'], [((0.1,), Spread(60.0, None, 1))]).keys
        ['lr']
    """

    name: str
    keys: list[str]
    results: list[tuple[tuple[Any, ...], Spread]]


@dataclass
class Comparison:
    """The result of :func:`compare`.

    Args:
        rows: the baseline first, then the others with the best first; the teacher last.
        baseline: row that the others are compared with; None without a baseline.
        differences: settings that should be equal, but are not.
        left_out: runs that are in no row, with the reason.
        tried: rows of a sweep that were not chosen.
        variations: results by varied settings.
        facts: common settings of the runs, as label and text.
        confidence: confidence of the intervals, in (0, 1).
        without_images: names of the rows without an interval over images, each with the reason.

    Example:
        >>> from pathlib import Path
        >>> run = Run(Path('cwd'), iterations=100, validations=[(100, 60.0)])
        >>> row = Row('cwd', 'distilled', [run], {}, Spread(60.0, None, 1), {})
        >>> comparison = Comparison([row], None, [], [], [], [], [], confidence=0.95)
        >>> [row.name for row in comparison.ranked]
        ['cwd']
    """

    rows: list[Row]
    baseline: Row | None
    differences: list[Difference]
    left_out: list[tuple[Run, str]]
    tried: list[Row]
    variations: list[Variation]
    facts: list[tuple[str, str]]
    confidence: float
    without_images: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ranked(self) -> list[Row]:
        """The rows that are ranked: all except the teacher."""
        return [row for row in self.rows if row.role != 'teacher']

    @property
    def classes(self) -> list[str]:
        """The classes in the logs, in their order."""
        return list(dict.fromkeys(name for row in self.rows for name in row.class_iou))


def compare(runs: Sequence[Run], anyway: bool = False, confidence: float = 0.95) -> Comparison:
    """Group runs by config, and compare the groups.

    Runs that differ only in the seed form one row. The baseline is recognized by its config: a plain segmentor with the
    architecture of the distillers' student. A plain segmentor with another architecture is the teacher if a distiller
    names a checkpoint in its folder; the teacher is shown, but not ranked. Each candidate of a sweep is one row: its
    settings with the most seeds in one stage are considered, and of these, the settings with the highest mean are
    chosen. The runs of other stages do not count. Of several baselines, one is chosen in the same way.

    Args:
        runs: all runs; those with a problem are listed in ``left_out``.
        anyway: whether to compare runs that are not comparable.
        confidence: confidence of the intervals, in (0, 1).

    Raises:
        ValueError: if no run is complete; or if the runs differ in data, crop, iterations, batch, student or teacher.
            The message then has one line for each different key.
    """
    left_out = [(run, run.problem) for run in runs if run.problem]
    complete = [run for run in runs if not run.problem]
    if not complete:
        raise ValueError(
            'nothing to compare: none of the runs is complete: '
            + '; '.join(f'{run.folder} {reason}' for run, reason in left_out[:5])
        )
    roles = _roles(complete, runs)
    competing = [run for run, role in zip(complete, roles) if role != 'teacher']
    differences = find_differences(competing)
    if differences and not anyway:
        raise ValueError(
            'these runs are not comparable (--anyway compares them nevertheless):\n' + '\n'.join(map(str, differences))
        )
    groups: list[tuple[str, dict[str, Any], list[Run]]] = []
    for run, role in zip(complete, roles):
        settings = training_settings(run)
        known = next((group for group in groups if group[1] == settings), None)
        if known is None:
            groups.append((role, settings, [run]))
        else:
            known[2].append(run)
    every = [
        _row(role, settings, _one_a_seed(_one_stage(members, left_out), left_out)) for role, settings, members in groups
    ]
    rows, tried = _choose(every)
    _name(rows)
    _name(tried)
    baseline = _representative([row for row in rows if row.role == 'baseline'])
    for row in rows:
        if baseline is not None and row is not baseline and row.role != 'teacher':
            row.gain = row.miou.mean - baseline.miou.mean
            row.paired = paired_difference(_by_seed(row), _by_seed(baseline), confidence)
    without_images = _add_intervals_over_images(rows, baseline, confidence)
    order = {'baseline': 0, 'teacher': 2}
    rows.sort(key=lambda row: (order.get(row.role, 1), row is not baseline, -row.miou.mean))
    comparison = Comparison(
        rows,
        baseline,
        differences,
        left_out,
        tried,
        _variations(complete, every),
        _facts(competing, differences),
        confidence,
        without_images,
    )
    _rank(comparison)
    return comparison


def _roles(runs: Sequence[Run], every: Sequence[Run]) -> list[str]:
    """The role of each run. Incomplete runs are read too, because their configs name students and teachers."""
    models = [run.config.get('model', {}) for run in every]
    students = [flatten(architecture(model['student']), '') for model in models if 'student' in model]
    teachers = {path for model in models for path in _checkpoints(model.get('teacher'))}
    roles = []
    for run in runs:
        model, folder = run.config.get('model', {}), run.folder.resolve()
        if 'student' in model:
            roles.append('distilled')
        elif not students or flatten(architecture(model), '') in students:
            roles.append('baseline')
        else:
            roles.append('teacher' if any(folder in path.parents for path in teachers) else 'other')
    return roles


def _checkpoints(teacher: Any) -> list[Path]:
    """The checkpoints of all teachers, relative to the folder where the run was started."""
    return [
        Path(value).resolve()
        for key, value in flatten(teacher, 'teacher').items()
        if key.endswith('.checkpoint') and isinstance(value, str) and '://' not in value
    ]


def _row(role: str, settings: dict[str, Any], runs: list[Run]) -> Row:
    runs = sorted(runs, key=lambda run: (run.seed is None, run.seed, str(run.folder)))
    classes = {}
    for name in dict.fromkeys(name for run in runs for name in run.class_iou):
        values = [run.class_iou[name] for run in runs if name in run.class_iou]
        values = [value for value in values if value == value]
        if values:
            classes[name] = spread(values)
    return Row(_title(runs[0]), role, runs, settings, spread([run.miou for run in runs]), classes)


def _one_stage(runs: list[Run], left_out: list[tuple[Run, str]]) -> list[Run]:
    """The stage with the most runs of these settings. The seeds that chose the settings would bias the mean."""
    stages: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        stages[run.sweep['stage'] if run.sweep else ''].append(run)
    kept = max(stages, key=lambda stage: (len(stages[stage]), max(run.started for run in stages[stage])))
    left_out += [
        (run, f'the stage {kept} has more runs of these settings')
        for stage, members in stages.items()
        if stage != kept
        for run in members
    ]
    return stages[kept]


def _one_a_seed(runs: list[Run], left_out: list[tuple[Run, str]]) -> list[Run]:
    """The newest run of each seed: a repeated training is not a further sample."""
    kept: dict[Any, Run] = {}
    for run in sorted(runs, key=lambda run: run.started):
        key = run.folder if run.seed is None else run.seed
        if key in kept:
            left_out.append((kept[key], 'a newer run has the same config and seed'))
        kept[key] = run
    return list(kept.values())


def _choose(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The chosen rows (all rows outside sweeps, and one for each candidate of a sweep), and the others."""
    candidates: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        sweep = row.runs[0].sweep
        candidates[(sweep['sweep'], sweep['candidate']) if sweep else id(row)].append(row)
    chosen = []
    for members in candidates.values():
        row = max(members, key=_evidence)
        keys = short_keys(varied_keys([member.settings for member in members]))
        row.chosen = {short: shown(row.settings.get(key)) for key, short in keys.items()}
        chosen.append(row)
    return chosen, [row for row in rows if not any(row is one for one in chosen)]


def _representative(rows: list[Row]) -> Row | None:
    return max(rows, key=_evidence, default=None)


def _evidence(row: Row) -> tuple[int, float]:
    return row.miou.count, row.miou.mean


def _by_seed(row: Row) -> dict[Hashable, float]:
    return {run.seed: run.miou for run in row.runs if run.seed is not None}


def _add_intervals_over_images(rows: Sequence[Row], baseline: Row | None, confidence: float) -> list[tuple[str, str]]:
    """Set ``over_images`` of all rows with a gain; the names of those where it is unknown, with the reasons."""
    known: dict[Path, ImageConfusion] = {}
    unknown = []
    for row in rows:
        if row.gain is None or baseline is None:
            continue
        pair = row.runs, baseline.runs
        try:
            for run in itertools.chain(*pair):
                if run.folder not in known:
                    known[run.folder] = validated_images(run)
            ours, theirs = ([known[run.folder] for run in runs] for runs in pair)
            row.over_images = image_difference(ours, theirs, confidence)
        except (ValueError, FileNotFoundError) as error:
            unknown.append((row.name, str(error)))
    return unknown


def _rank(comparison: Comparison) -> None:
    ranked = comparison.ranked
    for row, standing in zip(ranked, as_good_as_best([row.miou for row in ranked])):
        row.standing = standing
    for name in comparison.classes:
        having = [row for row in ranked if name in row.class_iou]
        for row, standing in zip(having, as_good_as_best([row.class_iou[name] for row in having])):
            row.class_standing[name] = standing


def _title(run: Run) -> str:
    return run.sweep['candidate'] if run.sweep else run.title


def _name(rows: list[Row]) -> None:
    """Short and unique names: a common ending is removed, and different settings are added to equal names."""
    files = {row.name for row in rows if row.role == 'distilled' and not row.runs[0].sweep}
    common = _common_end(sorted(files)) if len(files) > 1 else ''
    same_name: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.role == 'teacher' or (row.role == 'baseline' and not row.runs[0].sweep):
            row.name = TEACHER if row.role == 'teacher' else BASELINE
        elif row.role == 'distilled' and not row.runs[0].sweep:
            row.name = row.name.removesuffix(common)
        same_name[row.name].append(row)
    for name, members in same_name.items():
        if len(members) < 2:
            continue
        keys = varied_keys([row.settings for row in members])
        short = short_keys(keys)
        seen: dict[str, int] = defaultdict(int)
        for row in members:
            parts = [f'{short[key]} {shown(row.settings.get(key))}' for key in keys[:NAMED_KEYS]]
            row.name = f'{name} ({", ".join(parts)}{", ..." * (len(keys) > NAMED_KEYS)})'
            seen[row.name] += 1
            if seen[row.name] > 1:
                row.name += f' #{seen[row.name]}'


def _common_end(names: list[str]) -> str:
    """The common ending of the names, from an underscore on; no name is shortened to nothing."""
    parts = [name.split('_') for name in names]
    same = 0
    while all(len(one) > same + 1 and one[-same - 1] == parts[0][-same - 1] for one in parts):
        same += 1
    return ''.join(f'_{part}' for part in parts[0][len(parts[0]) - same :])


def _variations(runs: Sequence[Run], rows: Sequence[Row]) -> list[Variation]:
    """The settings that a sweep varied in each stage, and the settings that rows of the same config file differ in."""
    stages: dict[Any, list[tuple[dict[str, Any], Run]]] = defaultdict(list)
    for run in runs:
        if run.sweep:
            stages[run.sweep['sweep'], run.sweep['stage'], run.sweep['candidate']].append((run.sweep['params'], run))
    for row in rows:
        if not row.runs[0].sweep and row.role != 'teacher':
            stages[row.runs[0].title, row.role].extend((row.settings, run) for run in row.runs)
    found = []
    for key, members in stages.items():
        keys = varied_keys([settings for settings, _ in members])
        # A config with many different keys is another experiment, not a variation of one setting.
        if not keys or (len(key) == 2 and len(keys) > 2):
            continue
        results: dict[tuple[Any, ...], list[float]] = defaultdict(list)
        for settings, run in members:
            values = tuple(settings.get(name) for name in keys)
            results[tuple(str(value) if isinstance(value, (list, dict)) else value for value in values)].append(
                run.miou
            )
        name = f'{key[2]}, {key[1]}' if len(key) == 3 else BASELINE if key[1] == 'baseline' else key[0]
        found.append(Variation(name, keys, [(values, spread(mious)) for values, mious in results.items()]))
    return found


def _facts(runs: Sequence[Run], differences: Sequence[Difference]) -> list[tuple[str, str]]:
    """The common settings of the ranked runs."""
    conditions = [fixed_settings(run) for run in runs]
    first = conditions[0]
    teachers = {
        kind: settings
        for condition in conditions
        for kind, settings in condition.items()
        if kind.split()[0] == 'teacher'
    }
    budget = (runs[0].sweep or {}).get('budget') or {}
    fixed = all(condition['iterations'] == first['iterations'] for condition in conditions)
    batch = f'{first["batch"]["train_dataloader.batch_size"]} images'
    if runs[0].processes > 1:
        batch += f' in each of {runs[0].processes} processes'
    parts = ('student].type', 'student].backbone.type', 'student].decode_head.type')
    values_by_kind = {
        'data': _ends(
            first['data'],
            *(
                f'train_dataloader.dataset.{key}'
                for key in ('type', 'labeled.type', 'data_root', 'labeled.data_root', 'partition', 'partition.fraction')
            ),
        ),
        'crop': [' x '.join(map(str, size)) for size in _ends(first['crop'], 'crop_size') if isinstance(size, list)],
        'iterations': list(first['iterations'].values()) if fixed else [],
        'budget': [f'{budget["value"]:g} {budget["kind"]}'] if budget.get('kind') in OPEN_BUDGETS else [],
        'batch': [batch],
        'student': _ends(first['student'], *parts),
        **{kind: _ends(settings, '.config', '.checkpoint') for kind, settings in teachers.items()},
    }
    differing = {difference.kind for difference in differences}
    return [
        (kind, 'differs' if kind in differing else ', '.join(map(shown, values)))
        for kind, values in values_by_kind.items()
        if values or kind in differing
    ]


def _ends(settings: dict[str, Any], *ends: str) -> list[Any]:
    """The values of the keys with these endings, in the order of the endings."""
    return [value for end in ends for key, value in settings.items() if key.endswith(end)]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
