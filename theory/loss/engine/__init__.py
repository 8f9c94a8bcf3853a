"""The expected squared error of an output, at any number of features, with an error that holds."""
