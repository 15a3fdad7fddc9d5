"""Run a study: plan, train what is missing, measure costs, write results."""
