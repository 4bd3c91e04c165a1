"""Commands stopped, or refused by the disk, at every file-system step."""
