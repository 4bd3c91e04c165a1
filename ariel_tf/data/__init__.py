"""From text files or a simulator to records on disk, and from there to shuffled batches."""
