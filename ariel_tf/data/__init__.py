"""Data sets: from text files or a simulator to records on disk, and from records to shuffled batches."""
