"""Every value law with every set law: the exact loss against routes that share nothing with it."""
