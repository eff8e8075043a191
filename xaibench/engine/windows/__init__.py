"""Square windows: only what a window reaches of each map of a network is computed anew.

``reach`` says which rectangle of a map a window reaches, ``locality`` which steps of a network
have one, ``flow`` runs the steps one by one, ``plan`` chooses those that are done on patches,
``patches`` gathers and pastes them, ``passes`` runs a plan, and ``scores`` the whole.
"""
