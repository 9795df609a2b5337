"""The finished parts of a multistage run, stored in one small file."""

import json
from pathlib import Path
from typing import Any

from mmengine.dist import barrier, is_main_process

from ...io.files import write_atomically
from ..config_changes import changes, told

FILE, FORMAT = 'mckd.json', 1


class MCKDState:
    """Finished parts of a run by name, with facts about each. Every change is written atomically.

    Args:
        folder: Work directory of the run.
        settings: Settings by dotted key that must not change when the run is resumed.
        resume: Whether to continue an existing run.

    Raises:
        ValueError: If a run exists and ``resume`` is false, or if its settings differ. The file is then not changed.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], resume: bool) -> None:
        self._path, self._settings = folder / FILE, settings
        self.parts: dict[str, dict[str, Any]] = {}
        if self._path.is_file():
            if not resume:
                raise ValueError(f'{folder} already holds a run; continue it with --resume, or give another --work-dir')
            self._load()
        barrier()  # nobody writes before all have read

    def done(self, name: str) -> bool:
        """Whether a part is finished."""
        return name in self.parts

    def finish(self, name: str, facts: dict[str, Any]) -> None:
        """Record a finished part. All processes call this when all have finished it."""
        barrier()
        self.parts[name] = facts
        self._save()
        barrier()

    def _load(self) -> None:
        try:
            before = json.loads(self._path.read_text())
            settings, parts = before['settings'], before['parts']
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f'{self._path} is damaged; remove it (finished labels and trainings are reused), or give another '
                '--work-dir'
            ) from None
        if before.get('format') != FORMAT:
            raise ValueError(
                f'{self._path} must have format {FORMAT}, but has {before.get("format")}; give another --work-dir'
            )
        changed = changes(settings, self._settings)
        if changed:
            raise ValueError(
                f'{self._path.parent} was started with another config: {told(changed)}. Restore that config, or give '
                'another --work-dir'
            )
        self.parts = parts

    def _save(self) -> None:
        if is_main_process():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(
                self._path, json.dumps(dict(format=FORMAT, settings=self._settings, parts=self.parts), indent=1)
            )
