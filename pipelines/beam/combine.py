"""Sums on Beam of whatever has `add(element)` and `merge(other)`, each of which returns the sum so far."""

import apache_beam as beam


class SumFn(beam.CombineFn):
    """The base of sums: a subclass says in `create_accumulator` what an empty one is."""

    def add_input(self, accumulator, element):
        return accumulator.add(element)

    def merge_accumulators(self, accumulators):
        merged = self.create_accumulator()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator):
        return accumulator
