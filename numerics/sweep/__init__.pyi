from .grid import run_sweep as run_sweep
