"""The latency studies of the MobileOne paper (Vasu et al., CVPR 2023), repeated on this CPU.

>>> from mobileone import studies
>>> studies.activations()  # Table 2: activation functions in a network of 30 layers
>>> studies.blocks()  # Table 3: squeeze-and-excitation and skip connections in the same network
>>> studies.correlation()  # Table 1: does latency follow FLOPs or parameters?
>>> studies.robustness(model, clean="val")  # Table 12: corrupted, adversarial, rendered pictures
>>> studies.table9()  # published networks in this engine and in others
>>> studies.table1()  # Table 1 over the paper's own twelve networks
>>> studies.variants()  # the package's models beside the latencies of Table 9

Every function returns a result that prints as a table, with the paper's numbers beside the
measured ones, and has `to_dict`, `to_dataframe` and `plot`.
"""

from __future__ import annotations

from mobileone.studies.correlation_result import CorrelationResult
from mobileone.studies.measure import activations, blocks, correlation, variants
from mobileone.studies.networks import PlainCnn, plain_cnn
from mobileone.studies.result import StudyResult, StudyRow
from mobileone.studies.robustness import RobustnessResult, robustness
from mobileone.studies.spearman import RankCorrelation, rank_correlation
from mobileone.studies.table9 import table1, table9
from mobileone.studies.table9_result import Table9Result, Table9Row

__all__ = [
    "CorrelationResult",
    "PlainCnn",
    "RankCorrelation",
    "RobustnessResult",
    "StudyResult",
    "StudyRow",
    "Table9Result",
    "Table9Row",
    "activations",
    "blocks",
    "correlation",
    "plain_cnn",
    "rank_correlation",
    "robustness",
    "table1",
    "table9",
    "variants",
]
