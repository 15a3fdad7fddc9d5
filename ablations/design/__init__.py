"""What to train: trials, studies, scales, matched sizes and the study plan, before anything runs."""
