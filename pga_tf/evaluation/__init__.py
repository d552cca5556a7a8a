"""L1: scores of samples. Sees arrays of features only; knows no model and no data source."""
