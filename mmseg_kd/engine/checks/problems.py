"""What checks of a run find."""

from dataclasses import dataclass, field


@dataclass
class Problems:
    """What was found, a line each, which names the key.

    Args:
        refusals: what would ruin the run.
        warnings: what may not be meant.
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
        """Add what another check found."""
        self.refusals += others.refusals
        self.warnings += others.warnings
