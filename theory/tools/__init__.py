"""What every command and search needs: arguments, files, signals, workers, minimisation."""
