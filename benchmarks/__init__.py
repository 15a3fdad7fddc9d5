"""Speed and statistics of the suite, measured side by side with what is known or what one would pick instead."""
