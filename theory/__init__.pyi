from theory.features import Anticorrelated as Anticorrelated
from theory.features import Correlated as Correlated
from theory.features import FeatureDistribution as FeatureDistribution
from theory.features import Independent as Independent
from theory.problem import Problem as Problem
