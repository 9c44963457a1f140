"""What quantization loses, layer by layer, and where: `epimc inspect --quantization`."""
