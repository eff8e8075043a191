"""What rows of scores come to: intervals, tests, ranks, cost, ROC; as tables and as text."""
