"""Where settings come from: flags, variables, the YAML file. Imported by the composition root alone."""
