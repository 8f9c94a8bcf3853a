from .draws import sample as sample
from .draws import sample_sparse as sample_sparse
from .monte_carlo import stratified_loss as stratified_loss
