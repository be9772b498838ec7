#pragma once

#include <memory>

#include "comm/communicator.h"
#include "comm/nccl/library.h"

namespace lockstep::nccl {

// `make_nccl` on a library of one's choice. `share`: whether workers may share GPUs; rank 0's counts.
std::unique_ptr<Communicator> make_transport(Communicator& control, std::unique_ptr<Library> library,
                                             bool share);

}  // namespace lockstep::nccl
