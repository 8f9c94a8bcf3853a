"""Write the torch files that the tests read: python tests/numerics/agreement/data/make.py (needs torch)."""

from pathlib import Path

import torch


class ToyModel(torch.nn.Module):
    """Five features in two dimensions, three instances, as Anthropic's notebook lays them out."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.W = torch.nn.Parameter(torch.randn(3, 5, 2, generator=generator))
        self.b_final = torch.nn.Parameter(torch.randn(3, 5, generator=generator))


if __name__ == "__main__":
    folder = Path(__file__).parent
    torch.save(ToyModel().state_dict(), folder / "features_first.pt")
