from .basins import basin_statistics as basin_statistics
from .basins import wilson_interval as wilson_interval
from .compare import compare_losses as compare_losses
from .compare import train_and_judge as train_and_judge
from .exact_descent import train_exactly as train_exactly
from .phases import phase_agreement as phase_agreement
from .verdicts import judge as judge
