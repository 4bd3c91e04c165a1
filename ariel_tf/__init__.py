"""Keras/TensorFlow suite that measures exoplanet radii from Ariel light curves."""

__version__ = "0.1.0"
