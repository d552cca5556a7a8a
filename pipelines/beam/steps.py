"""The data-parallel steps on Beam, by the names of their components."""

from pipelines.beam.evaluator import evaluator
from pipelines.beam.example_gen import example_gen
from pipelines.beam.statistics_gen import statistics_gen
from pipelines.beam.transform import transform

STEPS = {"ExampleGen": example_gen, "StatisticsGen": statistics_gen, "Transform": transform, "Evaluator": evaluator}
