"""What every command and search needs: arguments, files, minimisation."""
