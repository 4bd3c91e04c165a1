"""Headings and captions of the HTML report."""

# Name of a figure's file to its heading and description.
PICTURES = {
    "ladder": (
        "From naive to the limit",
        "Loss = 10,000 - score, to the right is better. Dot: a planet's observations combined, with the interval that "
        "holds 95 % of resampled sets of planets; bar: one observation.",
    ),
    "by_wavelength": (
        "By wavelength",
        "Loss of a planet's combined prediction at each wavelength; lower is better. Lines end where an instrument "
        "does. Below, its ratio to the limit of photon noise.",
    ),
    "by_magnitude": (
        "By brightness of the star",
        "Each planet's loss, with the median and the middle 68 % in steps of magnitude. Faint stars are noisier; where "
        "a model's loss is far above the photon limit, noise is not what limits it.",
    ),
    "spectra": (
        "Spectra",
        "Planets from the worst to the best predicted: truth with the width of each band, the median of the "
        "predictions and the middle 68 % of those from single observations, or bands of 1 and 1.96 sigma of a model "
        "with uncertainty; below, the error in depth.",
    ),
    "reliability": (
        "Uncertainties",
        "How many of the true radii are within the interval that should hold a given share of them. On the diagonal "
        "the uncertainties are right; below it the model is overconfident. Bands of a planet share much of their "
        "error, so standard errors are taken over planets. The Gaussian log-likelihood score is that of the 2024 Ariel "
        "Data Challenge, of depths: 1 is the truth known to 10 ppm, 0 the mean and spread of all planets.",
    ),
    "light_curves": (
        "Light curves",
        "One observation without the detector's ramp, in means of six minutes with their noise, with the transits that "
        "the true and the predicted radius make on the known orbit, without spots; below, the residual to the "
        "prediction.",
    ),
    "learning_curves": (
        "Learning curves",
        "Loss of validation planets (solid) and of training planets (dashed) by epoch; a star marks the best epoch.",
    ),
}
# Headings of the page, in order: the name of their place, and their words.
SECTIONS = {
    "scores": "Scores",
    "differences": "Planet by planet",
    **{name: title for name, (title, _) in PICTURES.items() if name != "ladder"},
    "groups": "By magnitude and depth",
    "runs": "What was trained, and on what",
    "reading": "How to read this",
}
