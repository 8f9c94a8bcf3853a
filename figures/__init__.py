"""One runnable script per figure: compute through the API, draw, save."""

import theory as _theory  # noqa: F401  # guards commands against signals, imports included
