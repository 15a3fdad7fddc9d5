"""What is stored: records of trials, plans of studies, and the databases they live in."""
