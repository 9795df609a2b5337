"""Findings of the checks of a run."""

from dataclasses import dataclass, field


@dataclass
class Problems:
    """Findings of one or several checks; each is one line that names the key in the config.

    Args:
        refusals: Settings that would ruin the run.
        warnings: Settings that may be mistakes.
    """

    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, text: str) -> None:
        """Add a refusal."""
        self.refusals.append(text)

    def warn(self, text: str) -> None:
        """Add a warning."""
        self.warnings.append(text)

    def add(self, others: 'Problems') -> None:
        """Add the findings of another check."""
        self.refusals += others.refusals
        self.warnings += others.warnings
