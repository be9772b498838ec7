#include "layers/ops/cuda/device/device.h"
#include "layers/ops/cuda/device/launch.cuh"
#include "layers/ops/cuda/launches/elementwise_kernels.h"
#include "layers/ops/cuda/launches/pooling_kernels.h"

namespace lockstep::cuda {

template std::unique_ptr<Kernel> make_relu(const Device&, const SampleShape&, const KernelShape&);
template std::unique_ptr<Kernel> make_add(const Device&, const SampleShape&, const KernelShape&);
template std::unique_ptr<Kernel> make_flatten(const Device&, const SampleShape&, const KernelShape&);
template std::unique_ptr<Kernel> make_dropout(const Device&, const SampleShape&, float, const Random&,
                                              const KernelShape&);
template std::unique_ptr<Kernel> make_pooling(const Device&, const Pooling&, const KernelShape&);
template std::unique_ptr<Kernel> make_global_average_pooling(const Device&, const SampleShape&,
                                                             const KernelShape&);

}  // namespace lockstep::cuda
