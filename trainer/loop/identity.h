#pragma once

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "layers/nn/parameter.h"

namespace lockstep {

// Collective. Throws Error(ExitCode::peer), the same on all workers, where the bytes of `state` (the same
// tensors in the same order everywhere) are not the same on all of them: step, first such tensor, everyone's
// digest of it, and who is wrong where more than half of the workers agree. Equal states cost one exchange of
// 8 bytes a worker.
void require_equal_state(Communicator& comm, std::int64_t step, const std::vector<ModelTensor>& state);

}  // namespace lockstep
