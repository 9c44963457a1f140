"""The built-in targets, a TOML file each; `schema.load_target` reads them."""
