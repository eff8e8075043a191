"""Speed against peers and against the limit; README.md says how to run each."""

# Before torch, for what it says to the threads of torch.
import xaibench as xaibench
