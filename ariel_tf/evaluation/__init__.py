"""From predictions to what a user believes: losses, intervals, comparisons with references, tables, pictures."""
