"""The offline path: data sets from traces, training a student on them, and promoting it behind a gate."""
