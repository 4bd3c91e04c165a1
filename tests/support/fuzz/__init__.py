"""Bad bytes for every parser: `fuzz.targets` lists the parsers, `fuzz.drive` feeds them."""
