# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from vizion3d.errors import InputError
from vizion3d.runtime.device import select_device, select_dtype

HAS_CUDA = torch.cuda.is_available()
HAS_MPS = torch.backends.mps.is_available()


def test_auto_is_a_device_that_computes():
    device = select_device()
    assert device == select_device("auto")
    assert (torch.ones(2, device=device) + 1).tolist() == [2, 2]


def test_auto_prefers_a_gpu():
    assert select_device("auto").type == ("cuda" if HAS_CUDA else "mps" if HAS_MPS else "cpu")


def test_cpu_is_always_there():
    assert select_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(not HAS_CUDA, reason="no CUDA GPU")
def test_cuda_devices_are_counted():
    last = torch.cuda.device_count() - 1
    assert select_device("cuda").type == "cuda"
    assert select_device(f"cuda:{last}").index == last
    with pytest.raises(InputError, match=rf'"cuda:{last + 1}" but there are only {last + 1} CUDA GPUs'):
        select_device(f"cuda:{last + 1}")


@pytest.mark.skipif(HAS_CUDA, reason="a CUDA GPU is there")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_missing_cuda_is_not_replaced_silently(name):
    with pytest.raises(InputError, match=f'device is "{name}" but torch .* sees no CUDA GPU.*device=cpu'):
        select_device(name)


@pytest.mark.skipif(HAS_MPS, reason="an Apple GPU is there")
def test_missing_mps_is_not_replaced_silently():
    with pytest.raises(InputError, match='device is "mps" but this machine has no Apple GPU'):
        select_device("mps")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:-1", "CUDA", "meta", "xpu", None])
def test_other_words_are_refused_with_the_legal_ones(name):
    with pytest.raises(InputError, match=f'device is "{name}"; it must be auto, cpu, mps, cuda or cuda:N'):
        select_device(name)


def test_automatic_precision_is_half_on_cuda_only():
    assert select_dtype("auto", torch.device("cuda")) == torch.float16
    assert select_dtype("auto", torch.device("cpu")) == select_dtype("auto", torch.device("mps")) == torch.float32


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_precision_asked_for_is_precision_given(device):
    assert select_dtype("float16", torch.device(device)) == torch.float16
    assert select_dtype("float32", torch.device(device)) == torch.float32


def test_other_precisions_are_refused_with_the_legal_ones():
    for precision in ("half", "float64", "", None):
        with pytest.raises(InputError, match=f'precision is "{precision}"; it must be auto, float32 or float16'):
            select_dtype(precision, torch.device("cpu"))
    with pytest.raises(InputError, match="bfloat16, which is known to give bad disparities; use float16 or float32"):
        select_dtype("bfloat16", torch.device("cpu"))
