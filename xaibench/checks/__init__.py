"""Does a plugin keep its contract? The same checks for ours and for everyone's."""
