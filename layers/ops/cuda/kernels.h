#pragma once

#include <cstdint>
#include <memory>

#include "layers/ops/kernels.h"

// layers/ops/kernels.h for GPUs. What a kernel is given (kernel.h) lies in the GPU's memory, and its calls
// put work into the stream of their thread and return. Device: cuda::Device (or, in tests, what runs the same
// threads on the CPU); it outlives its kernels.
namespace lockstep::cuda {

template <class Device>
std::unique_ptr<Kernel> make_pooling(const Device& device, const Pooling& pooling, const KernelShape& shape);
template <class Device>
std::unique_ptr<Kernel> make_global_average_pooling(const Device& device, const SampleShape& in,
                                                    const KernelShape& shape);
template <class Device>
std::unique_ptr<Kernel> make_flatten(const Device& device, const SampleShape& in, const KernelShape& shape);
template <class Device>
std::unique_ptr<Kernel> make_dropout(const Device& device, const SampleShape& in, float probability,
                                     const Random& random, const KernelShape& shape);
template <class Device>
std::unique_ptr<Kernel> make_relu(const Device& device, const SampleShape& in, const KernelShape& shape);
template <class Device>
std::unique_ptr<Kernel> make_add(const Device& device, const SampleShape& in, const KernelShape& shape);

// On cuDNN and cuBLAS, so for cuda::Device alone.
template <class Device>
std::unique_ptr<Kernel> make_convolution(const Device& device, const Convolution& convolution,
                                         const KernelShape& shape);
template <class Device>
std::unique_ptr<Kernel> make_linear(const Device& device, const Linear& linear, const KernelShape& shape);

}  // namespace lockstep::cuda
