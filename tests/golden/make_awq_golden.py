#!/usr/bin/env python3
"""awq_packing.json: a matrix's codes, zero points and scales, and the words that AutoAWQ packs them
into (WQLinear_GEMM.from_linear), which its own unpacking gives back. In a venv with torch and numpy at
the versions of requirements.txt:

    pip download --no-deps autoawq==0.2.9 && tar xzf autoawq-0.2.9.tar.gz
    make_awq_golden.py autoawq-0.2.9 tests/golden/awq_packing.json
"""

import json
import sys
import types
from pathlib import Path

import torch

ROWS, WIDTH, GROUP = 32, 64, 32


def autoawq(directory):
    """The package without its __init__, which wants a transformers of its time."""
    for name in ("awq", "awq.modules", "awq.modules.linear", "awq.utils"):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(directory, *name.split(".")))]
        sys.modules[name] = package
    # Asks for a graphics card; all is done on the processor here.
    device = types.ModuleType("awq.utils.utils")
    device.get_best_device = lambda: "cpu"
    sys.modules["awq.utils.utils"] = device
    from awq.modules.linear.gemm import WQLinear_GEMM
    from awq.utils.packing_utils import dequantize_gemm
    return WQLinear_GEMM, dequantize_gemm


def main():
    gemm, dequantize = autoawq(sys.argv[1])
    random = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 16, (ROWS, WIDTH), generator=random)
    zeros = torch.randint(1, 16, (ROWS, WIDTH // GROUP), generator=random)
    scales = (torch.rand(ROWS, WIDTH // GROUP, generator=random) * 0.02 + 0.01).half()
    weight = ((codes - zeros.repeat_interleave(GROUP, 1)).float()
              * scales.float().repeat_interleave(GROUP, 1))
    linear = torch.nn.Linear(WIDTH, ROWS, bias=False)
    linear.weight.data = weight
    packed = gemm.from_linear(linear, 4, GROUP, scales=scales.t().contiguous(),
                              zeros=zeros.t().contiguous())
    back = dequantize(packed.qweight, packed.qzeros, packed.scales, 4, GROUP).t()
    assert torch.allclose(back.float(), weight, atol=1e-3)

    def flat(tensor):
        return tensor.flatten().tolist()

    Path(sys.argv[2]).write_text(json.dumps({
        "rows": ROWS, "width": WIDTH, "group": GROUP, "codes": flat(codes), "zeros": flat(zeros),
        "scales": flat(scales.view(torch.int16)), "qweight": flat(packed.qweight),
        "qzeros": flat(packed.qzeros), "packed_scales": flat(packed.scales.view(torch.int16)),
    }) + "\n")


if __name__ == "__main__":
    main()
