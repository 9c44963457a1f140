"""The built-in targets, a TOML file each; `load_target` of `epimc.backends.crossbar.target`."""
