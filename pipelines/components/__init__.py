"""The steps of the pipeline: typed functions from input folders and parameters to output folders.

Each argument that names a folder is `str`; outputs exist and are empty when a step is called, unless it goes on where
it was stopped. A step returns its figures, plain values for whoever watches, and raises for what must stop a pipeline.
"""
