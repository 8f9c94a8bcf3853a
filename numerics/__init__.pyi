from .models import Parameters as Parameters
from .models import forward as forward
from .models import loss_and_gradient as loss_and_gradient
from .monte_carlo import stratified_loss as stratified_loss
from .sampling import sample as sample
from .sampling import sample_sparse as sample_sparse
