"""One runnable script per figure: compute through the API, draw, save."""
