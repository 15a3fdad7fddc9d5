"""What is to be trained: trials, studies, scales, matched sizes and the study plan, before anything runs."""
