"""From float epitomes to integers: calibration and the `quantize` pass."""
