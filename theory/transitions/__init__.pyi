from .branches import Branch as Branch
from .branches import follow as follow
from .branches import follow_both_ways as follow_both_ways
from .crossovers import Crossing as Crossing
from .crossovers import branches_of as branches_of
from .crossovers import crossover as crossover
from .crossovers import crossover_between as crossover_between
