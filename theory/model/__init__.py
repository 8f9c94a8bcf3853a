"""What is asked: a problem's features, their laws, importances and sizes."""
