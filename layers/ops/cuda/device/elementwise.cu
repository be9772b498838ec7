#include "layers/ops/cuda/device/launch.cuh"
#include "layers/ops/cuda/launches/elementwise.h"

namespace lockstep::cuda {

template void add_into(const Stream&, float*, const float*, std::int64_t);
template void add_into(const Stream&, Bf16*, const Bf16*, std::int64_t);
template void convert(const Stream&, const float*, Bf16*, std::int64_t);
template void convert(const Stream&, const Bf16*, float*, std::int64_t);
template void copy(const Stream&, const float*, float*, std::int64_t);
template void round(const Stream&, const double*, float*, std::int64_t);
template void scale(const Stream&, float*, float, std::int64_t);
template void transpose(const Stream&, const float*, std::int64_t, std::int64_t, std::int64_t, float*);
template void transpose(const Stream&, const float*, std::int64_t, std::int64_t, std::int64_t, Bf16*);
template void add_bias(const Stream&, const float*, std::int64_t, std::int64_t, const float*, float*);
template void add_bias(const Stream&, const float*, std::int64_t, std::int64_t, const float*, Bf16*);
template void sum_rows(const Stream&, const float*, std::int64_t, std::int64_t, std::byte*, float*);
template void sum_rows(const Stream&, const Bf16*, std::int64_t, std::int64_t, std::byte*, float*);
template void sum_of_squares(const Stream&, const float*, std::int64_t, std::byte*, double*);
template void find_infinite(const Stream&, const float*, std::int64_t, std::int32_t*);
template void fold_sums(const Stream&, const float*, std::int64_t, std::int64_t, std::int64_t, float*);
template void update_sgd(const Stream&, float*, const float*, float*, bool, const SgdScalars&, std::int64_t);
template void update_adamw(const Stream&, float*, const float*, float*, float*, const AdamWScalars&,
                           std::int64_t);

}  // namespace lockstep::cuda
