"""A kernel for products of many small matrices on the CPU, which an inner step consists of, for compiled graphs.

`torch.compile(options={"post_grad_custom_post_pass": SmallMatmul()})` computes float32 products on the CPU by
`innerloop::bmm` instead of `aten.bmm`: by this kernel where no side exceeds `MAX_SIDE`, and by `torch.bmm` elsewhere.
For 128 tasks of 10 examples and 40 units on one core of an AMD EPYC the kernel takes 29 to 45 us a product, `torch.bmm`
(MKL) 65 to 100. `small-matrix-kernel` of the ablation benchmark: 1.29 times the tasks a second at 256 tasks.

Inductor compiles and caches the kernel like its own. The interfaces of Inductor used here are private: where another
torch lacks them, importing this module or making a `SmallMatmul` fails, and the caller does without.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._inductor.codecache import CppPythonBindingsCodeCache
from torch._inductor.custom_graph_pass import CustomGraphPass
from torch._inductor.ir import ExternKernel, FixedLayout
from torch._inductor.lowering import register_lowering
from torch._inductor.select_algorithm import ExternKernelChoice
from torch.fx import Graph, Node

from app.service.compiled.cache import source_key

MAX_SIDE = 64
"""The rows, columns and terms of a product that the kernel takes; a multiple of every vector width."""

_SOURCE = r"""
#include <torch/csrc/inductor/cpp_prefix.h>

using Vec = at::vec::Vectorized<float>;
constexpr int WIDTH = Vec::size();

// to[p * MAX_SIDE + j] = from[p, j], for p < k and j < n
// flatten: unless torch's transpose is inlined, its sizes are not constants, and it takes three times as long
__attribute__((flatten))
inline void pack(const float* from, int64_t stride_k, int64_t stride_n, int64_t k, int64_t n, float* to) {
    int64_t j = 0;
    for (; stride_k == 1 && j + 8 <= n; j += 8) {
        int64_t p = 0;
        for (; p + 8 <= k; p += 8)
            at::vec::transpose_mxn<float, 8, 8>(from + j * stride_n + p, stride_n, to + p * MAX_SIDE + j, MAX_SIDE);
        for (; p < k; ++p)
            for (int64_t i = j; i < j + 8; ++i) to[p * MAX_SIDE + i] = from[p + i * stride_n];
    }
    for (; j < n; ++j)
        for (int64_t p = 0; p < k; ++p) to[p * MAX_SIDE + j] = from[p * stride_k + j * stride_n];
}

// out[rows, columns] = a[rows, k] @ b[k, columns], with the sums in registers; the last vector has `last` columns
template <int rows, int vectors>
inline void tile(const float* a, int64_t stride_m, int64_t stride_k, int64_t k, const float* b, int64_t b_row,
                 float* out, int64_t out_row, int last) {
    Vec sums[rows][vectors];
    for (auto& row : sums) for (auto& sum : row) sum = Vec(0.0f);
    for (int64_t p = 0; p < k; ++p) {
        Vec terms[vectors];
        for (int j = 0; j < vectors - 1; ++j) terms[j] = Vec::loadu(b + p * b_row + j * WIDTH);
        terms[vectors - 1] = Vec::loadu(b + p * b_row + (vectors - 1) * WIDTH, last);
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < vectors; ++j)
                sums[i][j] = at::vec::fmadd(Vec(a[i * stride_m + p * stride_k]), terms[j], sums[i][j]);
    }
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < vectors - 1; ++j) sums[i][j].store(out + i * out_row + j * WIDTH);
        sums[i][vectors - 1].store(out + i * out_row + (vectors - 1) * WIDTH, last);
    }
}

// out[m, n] = a[m, k] @ b[k, n], by at most `rows` rows at a time
template <int rows>
inline void multiply(const float* a, int64_t stride_m, int64_t stride_k, int64_t m, int64_t n, int64_t k,
                     const float* b, int64_t b_row, float* out) {
    for (; m >= rows; m -= rows, a += rows * stride_m, out += rows * n) {
        int64_t j = 0;
        for (; n - j > 3 * WIDTH; j += 3 * WIDTH)
            tile<rows, 3>(a, stride_m, stride_k, k, b + j, b_row, out + j, n, WIDTH);
        const int left = n - j;
        if (left > 2 * WIDTH) tile<rows, 3>(a, stride_m, stride_k, k, b + j, b_row, out + j, n, left - 2 * WIDTH);
        else if (left > WIDTH) tile<rows, 2>(a, stride_m, stride_k, k, b + j, b_row, out + j, n, left - WIDTH);
        else tile<rows, 1>(a, stride_m, stride_k, k, b + j, b_row, out + j, n, left);
    }
    if constexpr (rows > 1) multiply<rows - 1>(a, stride_m, stride_k, m, n, k, b, b_row, out);
}

extern "C" void kernel(const float* a, const float* b, float* out,
                       const int64_t tasks, const int64_t m, const int64_t n, const int64_t k,
                       const int64_t a_task, const int64_t a_m, const int64_t a_k,
                       const int64_t b_task, const int64_t b_k, const int64_t b_n, const int64_t threads) {
    #pragma omp parallel for num_threads(threads) if (threads > 1 && tasks * m * n * k > 1000000)
    for (int64_t task = 0; task < tasks; ++task) {
        alignas(64) float packed[MAX_SIDE * MAX_SIDE];
        const float* from = b + task * b_task;
        if (b_n != 1) pack(from, b_k, b_n, k, n, packed);
        multiply<5>(a + task * a_task, a_m, a_k, m, n, k, b_n == 1 ? from : packed, b_n == 1 ? b_k : MAX_SIDE,
                    out + task * m * n);
    }
}
"""


@functools.cache
def _kernel() -> Callable[..., None]:
    """The kernel, compiled and cached by Inductor."""
    arguments = ["const float*", "const float*", "float*", *["int64_t"] * 11]
    source = f"#define MAX_SIDE {MAX_SIDE}\n{_SOURCE}"
    kernel: Callable[..., None] = CppPythonBindingsCodeCache.load_pybinding(arguments, source, needs_vec_isa=True)
    return kernel


def _bmm_into(a: Tensor, b: Tensor, *, out: Tensor) -> Tensor:
    """Write a @ b into `out`, which is contiguous."""
    tasks, m, k = a.shape
    n = b.shape[2]
    if m > MAX_SIDE or n > MAX_SIDE or k > MAX_SIDE or k != b.shape[1] or tasks != b.shape[0]:
        return torch.bmm(a, b, out=out)
    _kernel()(a, b, out, tasks, m, n, k, *a.stride(), *b.stride(), torch.get_num_threads())
    return out


def _bmm(a: Tensor, b: Tensor) -> Tensor:
    return _bmm_into(a, b, out=a.new_empty((a.shape[0], a.shape[1], b.shape[2])))


_library = torch.library.Library("innerloop", "DEF")  # type: ignore[no-untyped-call]
_library.define("bmm(Tensor a, Tensor b) -> Tensor")  # type: ignore[no-untyped-call]
_library.impl("bmm", _bmm, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake(
    "innerloop::bmm", lambda a, b: a.new_empty((a.shape[0], a.shape[1], b.shape[2])), lib=_library
)

_direct = ExternKernelChoice(_bmm_into, name="innerloop_bmm_into")


# compiled code calls `_bmm_into` directly: 2.3 us a product of 2 tasks, 8.7 through torch's dispatcher
@register_lowering(torch.ops.innerloop.bmm.default, type_promotion_kind=None)
def _lower(a: Any, b: Any) -> Any:
    a, b = ExternKernel.realize_input(a), ExternKernel.realize_input(b)
    (tasks, m, _), n = a.get_size(), b.get_size()[2]
    layout = FixedLayout(a.get_device(), a.get_dtype(), [tasks, m, n], [m * n, n, 1])
    return _direct.bind((a, b), layout).output_node()  # type: ignore[no-untyped-call]


class SmallMatmul(CustomGraphPass):
    """Replaces float32 products on the CPU in a graph by `innerloop::bmm` (module docstring)."""

    def __init__(self) -> None:
        """Compile the kernel. Raises RuntimeError where that fails."""
        super().__init__()
        _kernel()

    def __call__(self, graph: Graph) -> None:
        """Replace the products of a graph, in place."""
        for node in graph.find_nodes(op="call_function", target=torch.ops.aten.bmm.default):
            if _is_suitable(node):
                node.target = torch.ops.innerloop.bmm.default

    def uuid(self) -> bytes:
        """The key of this pass in the graph cache."""
        return source_key(__file__)


def _is_suitable(node: Node) -> bool:
    """Whether a product is float32, on the CPU, and of matrices only: Inductor fuses products with vectors itself."""
    a, b = (argument.meta["val"] for argument in node.args)  # type: ignore[union-attr]
    sizes = (*a.shape[1:], b.shape[2])
    # a symbolic size is at least 2; comparing it would add a guard
    vector = any(isinstance(size, int) and size == 1 for size in sizes)
    return a.device.type == "cpu" and a.dtype == torch.float32 and not vector
