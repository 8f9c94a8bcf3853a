from .named_geometry import Optimum as Optimum
from .named_geometry import optimise as optimise
from .one_sparse import one_sparse_optimum as one_sparse_optimum
from .one_sparse import one_sparse_table as one_sparse_table
from .polytope import PolytopeOptimum as PolytopeOptimum
from .polytope import optimise_polytope as optimise_polytope
from .polytope import unrepresented_loss as unrepresented_loss
