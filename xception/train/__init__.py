"""Training one network: recipe, optimiser and schedule, the loop, evaluation."""
