"""What all figure scripts share."""
