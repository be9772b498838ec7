#include "layers/ops/cuda/device/launch.cuh"
#include "layers/ops/cuda/launches/norm.h"

namespace lockstep::cuda::norm {

template void moments(const Stream&, const float*, std::int64_t, std::int64_t, std::byte*, double*);
template void normalize(const Stream&, const float*, const float*, bool, const Constants&, std::int64_t,
                        std::int64_t, float*);
template void backward_sums(const Stream&, const float*, const float*, float*, bool, bool, const Constants&,
                            std::int64_t, std::int64_t, float*, bool, std::byte*, double*);
template void backward_apply(const Stream&, const float*, const float*, bool, const Constants&,
                             const GroupSums&, std::int64_t, std::int64_t, float*);
template void backward_frozen(const Stream&, const float*, const float*, bool, const Constants&, std::int64_t,
                              std::int64_t, float*);

template void moments(const Stream&, const Bf16*, std::int64_t, std::int64_t, std::byte*, double*);
template void normalize(const Stream&, const Bf16*, const Bf16*, bool, const Constants&, std::int64_t,
                        std::int64_t, Bf16*);
template void backward_sums(const Stream&, const Bf16*, const Bf16*, Bf16*, bool, bool, const Constants&,
                            std::int64_t, std::int64_t, Bf16*, bool, std::byte*, double*);
template void backward_apply(const Stream&, const Bf16*, const Bf16*, bool, const Constants&,
                             const GroupSums&, std::int64_t, std::int64_t, Bf16*);
template void backward_frozen(const Stream&, const Bf16*, const Bf16*, bool, const Constants&, std::int64_t,
                              std::int64_t, Bf16*);

}  // namespace lockstep::cuda::norm
