"""Search over networks and recipes: spaces, Optuna samplers, and equal-budget tuning of an ablation's variants."""
