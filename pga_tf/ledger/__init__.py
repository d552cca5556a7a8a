"""L4: the ledger: which rows the papers' tables have, what was measured of them, and what that says. No TensorFlow."""
