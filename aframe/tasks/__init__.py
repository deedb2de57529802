"""The steps as law tasks: what each needs, where its output lies, one call each."""
