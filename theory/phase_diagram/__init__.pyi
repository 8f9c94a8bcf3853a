from .diagram import default_resolution as default_resolution
from .diagram import exact_phase_diagram as exact_phase_diagram
from .instability import instability_threshold as instability_threshold
from .picture import draw_phase_diagram as draw_phase_diagram
from .text import summary as summary
