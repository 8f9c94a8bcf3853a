from .run import train as train
from .settings import Settings as Settings
from .trajectory import DivergenceError as DivergenceError
