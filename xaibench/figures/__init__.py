"""Figures of a finished run, one file each: tables -> Figure."""
