"""Training: loop, losses, schedules, sampling, checkpoints."""
