"""From YAML to a frozen, checked RunConfig."""
