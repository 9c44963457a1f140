"""The crossbar backend: targets, mapping passes, programs, bundles and the simulator."""
