"""Speed against peers and against the limit; README.md says how to run each."""
