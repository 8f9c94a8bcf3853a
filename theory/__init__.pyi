from .candidates import Candidate as Candidate
from .candidates import ideal_candidates as ideal_candidates
from .features import Anticorrelated as Anticorrelated
from .features import Correlated as Correlated
from .features import FeatureDistribution as FeatureDistribution
from .features import Independent as Independent
from .problem import Problem as Problem
