import sys
from pathlib import Path

# Random maps and float64 formulas are those of the losses' tests.
sys.path.append(str(Path(__file__).parents[1] / 'losses'))
