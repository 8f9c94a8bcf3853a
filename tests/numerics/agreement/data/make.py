"""Write the torch files that the tests read: python tests/numerics/agreement/data/make.py (needs torch)."""

from pathlib import Path


def main() -> None:
    """Five features in two dimensions, three instances, as Anthropic's notebook lays them out."""
    import torch

    class ToyModel(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            self.W = torch.nn.Parameter(torch.randn(3, 5, 2, generator=generator))
            self.b_final = torch.nn.Parameter(torch.randn(3, 5, generator=generator))

    torch.save(ToyModel().state_dict(), Path(__file__).parent / "features_first.pt")


if __name__ == "__main__":
    main()
