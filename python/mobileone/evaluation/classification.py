"""Classifiers on labelled pictures, one alone or two side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from mobileone.data.config import DataConfig
from mobileone.data.datasets.shards import PictureSet, Shard
from mobileone.evaluation.batches import Load, Plan, shard_identity
from mobileone.evaluation.comparison import compare
from mobileone.evaluation.corrupted import CorruptedPictures
from mobileone.evaluation.corruptions import corruption_errors
from mobileone.evaluation.labels import Classes, resolve_classes
from mobileone.evaluation.local import run_shards
from mobileone.evaluation.open_data import open_data
from mobileone.evaluation.presets import Preset, find_preset
from mobileone.evaluation.records import ShardResult
from mobileone.evaluation.result import Evaluation
from mobileone.evaluation.store import Store
from mobileone.evaluation.subjects import Subject, open_subject
from mobileone.evaluation.views import Decoding
from mobileone.evaluation.watch import Watch
from mobileone.util.checks import at_least
from mobileone.util.machine.threads import thread_count

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["evaluate_classifier"]

# Where fewer pictures than this are left for each, processes take longer to start than they save.
_LEAST_PER_WORKER = 64


def evaluate_classifier(
    model: Any,
    data: Any,
    *,
    against: Any = None,
    labels: Any = None,
    preset: str | None = None,
    columns: Sequence[int] | None = None,
    data_config: DataConfig | None = None,
    upright: bool = False,
    scaled_decoding: bool = False,
    on_error: str = "skip",
    batch_size: int = 32,
    workers: int | None = None,
    threads: int | None = None,
    ray: bool | str = False,
    results: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Evaluation:
    """See `mobileone.evaluate` with metrics="classification"."""
    if on_error not in ("skip", "raise"):
        raise ValueError(f"on_error is {on_error!r}; expected 'skip' or 'raise'")
    at_least("batch_size", batch_size, 1)
    known = find_preset(preset)
    pictures, notes = (known.open if known else open_data)(data, labels)
    if known:
        columns = known.columns if columns is None else columns
        notes = (*known.check(pictures), *notes)
    subjects = [open_subject(model), *([] if against is None else [open_subject(against)])]
    if known and any(subject.num_classes not in (None, 1000) for subject in subjects):
        raise ValueError(f"preset is {preset!r}, of ImageNet's 1000 classes; the model has others")
    configs = _configs(subjects, data_config, known)
    decoding = Decoding(tuple(dict.fromkeys(configs)), upright, scaled_decoding)
    plan = Plan(
        tuple(subjects),
        tuple(decoding.configs.index(config) for config in configs),
        decoding,
        _classes(subjects, pictures, columns),
        batch_size,
        stop=on_error == "raise",
    )
    cores = thread_count(threads).count
    count = pictures.count
    if workers is None and not ray:
        workers = cores if count is None else min(cores, count // _LEAST_PER_WORKER)
    if workers is not None:
        at_least("workers", workers, 1 if ray else 0)
    load = Load()
    store = None if results is None else Store(results, _setup(plan, pictures))
    watch = Watch(load, count, max(1, cores if workers else 1), progress)

    def run(shards: Iterable[Shard]) -> Iterator[tuple[int, ShardResult]]:
        how: dict[str, Any] = {"workers": workers, "tick": watch.tick}
        if not ray:
            return run_shards(shards, plan, load, threads=cores, **how)
        from mobileone.evaluation.cluster import run_on_ray

        address = ray if isinstance(ray, str) else None
        return run_on_ray(shards, plan, load, address=address, **how)

    try:
        found, interrupted = _collect(pictures, plan, store, run, load)
    finally:
        speed = watch.close()
    notes = (*_notes(plan, pictures, found), *notes, speed)
    corrupted = isinstance(pictures, CorruptedPictures) or (known is not None and known.corrupted)
    return _evaluation(plan, pictures, found, notes, interrupted, corrupted=corrupted)


def _configs(
    subjects: Sequence[Subject], data_config: DataConfig | None, preset: Preset | None
) -> list[DataConfig]:
    """What each model's pictures are resized, cropped and normalised to."""
    own = [subject.data_config for subject in subjects if subject.data_config is not None]
    if data_config is None and not own:
        raise ValueError(f"data_config is None; expected one, which {subjects[0].name} lacks")
    default = data_config or own[0]
    found = [data_config or subject.data_config or default for subject in subjects]
    return found if preset is None else [preset.config(config) for config in found]


def _classes(
    subjects: Sequence[Subject], pictures: PictureSet, columns: Sequence[int] | None
) -> Classes:
    counts = {s.num_classes: s.name for s in subjects if s.num_classes is not None}
    if len(counts) > 1:
        text = ", ".join(f"{name} has {count}" for count, name in counts.items())
        raise ValueError(f"models of different numbers of classes: {text}; expected the same")
    class_names = next((s.class_names for s in subjects if s.class_names is not None), None)
    count = next(iter(counts), None)
    return resolve_classes(pictures.class_names, count, class_names, pictures.name, columns)


def _collect(
    pictures: PictureSet,
    plan: Plan,
    store: Store | None,
    run: Callable[[Iterable[Shard]], Iterator[tuple[int, ShardResult]]],
    load: Load,
) -> tuple[Iterable[ShardResult], bool]:
    """Results in the order of the shards, and whether Ctrl-C ended it."""
    names: list[str] = []
    numbers: list[int] = []  # of the shards that are run
    held: dict[int, ShardResult] = {}
    done: set[int] = set()

    def missing() -> Iterator[Shard]:
        for number, shard in enumerate(pictures.shards()):
            names.append(shard.name)
            known = store and store.find(shard.name)
            # What is not known is read once, where it is run: here only what may be known.
            if known and known.identity == shard_identity(shard, plan.classes):
                done.add(number)
                load.pictures += len(known.keys)
                load.resumed += len(known.keys)
            else:
                numbers.append(number)
                yield shard

    interrupted = False
    try:
        for position, result in run(missing()):
            number = numbers[position]
            done.add(number)
            if store is None:
                held[number] = result
            else:
                store.put(result)
    except KeyboardInterrupt:
        if not done:
            raise
        interrupted = True
    if not load.pictures:
        raise ValueError(f"{pictures.name}: gave no pictures; expected some")
    if store is None:
        return [held[number] for number in sorted(held)], interrupted
    return store.results([names[number] for number in sorted(done)]), interrupted


def _setup(plan: Plan, pictures: PictureSet) -> dict[str, Any]:
    """What results depend on besides the pictures and their labels."""
    columns = plan.classes.columns
    return {
        "data": pictures.name,
        "models": [[subject.name, subject.digest] for subject in plan.subjects],
        "data_configs": [asdict(plan.decoding.configs[view]) for view in plan.views],
        "upright": plan.decoding.upright,
        "scaled_decoding": plan.decoding.scaled,
        "columns": None if columns is None else columns.tolist(),
        "batch_size": plan.batch_size,
    }


def _notes(plan: Plan, pictures: PictureSet, found: Iterable[ShardResult]) -> list[str]:
    notes = []
    for view in dict.fromkeys(plan.views):
        config = plan.decoding.configs[view]
        height, width = config.input_size
        how = f"{config.interpolation}, {config.crop_pct:g} of the resized picture"
        notes.append(f"input {height}x{width}, {how}")
    names = pictures.class_names
    if names is not None:
        count, columns = plan.classes.count, plan.classes.columns
        text = f"{len(names)} classes, {plan.classes.how}"
        expected = count if columns is None else len(columns)
        if expected is not None and len(names) < expected:
            text += f": {expected - len(names)} of {expected} have no pictures"
        notes.append(text)
    rotated = sum(result.rotated for result in found)
    if rotated:
        notes.append(
            f"{rotated} pictures have an EXIF orientation that was not applied (upright=True does)"
        )
    return notes


def _evaluation(
    plan: Plan,
    pictures: PictureSet,
    found: Iterable[ShardResult],
    notes: Sequence[str],
    interrupted: bool,
    *,
    corrupted: bool,
) -> Evaluation:
    classes = plan.classes.count or _largest(found) + 1
    names = next((s.class_names for s in plan.subjects if s.class_names is not None), None)
    told: dict[str, Any] = {"num_classes": classes, "class_names": names}
    labels = _names(plan.subjects)
    each = [
        Evaluation(
            label,
            pictures.name,
            found,
            number,
            corruptions=corruption_errors(found, number) if corrupted else None,
            **told,
        )
        for number, label in enumerate(labels)
    ]
    against = comparison = None
    if len(each) == 2:
        against = each[1]
        comparison = compare(found, (labels[0], labels[1]), classes, names)
    return replace(
        each[0],
        notes=tuple(notes),
        against=against,
        comparison=comparison,
        interrupted=interrupted,
    )


def _names(subjects: Sequence[Subject]) -> list[str]:
    """What they are called, told apart."""
    names = [subject.name for subject in subjects]
    return (
        names if len(set(names)) == len(names) else [f"{n} ({i})" for i, n in enumerate(names, 1)]
    )


def _largest(found: Iterable[ShardResult]) -> int:
    """The largest class that occurs, of models that do not say how many they have."""
    tops = (records.top for result in found for records in result.records)
    return max(
        max((int(top.max(initial=0)) for top in tops), default=0),
        max((int(result.labels.max(initial=0)) for result in found), default=0),
    )
