"""From a config to a network: graph, modules, counts, weights and presets."""
