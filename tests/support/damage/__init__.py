"""Damages every kind of file that the product writes: `damage.trials` does it, `damage.subjects` lists the files."""
