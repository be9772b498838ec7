#include "comm/nccl/nccl.h"

namespace lockstep {

bool has_nccl() {
  return false;
}

int visible_gpus() {
  return 0;
}

std::unique_ptr<Communicator> make_nccl(Communicator& /*control*/) {
  throw UsageError(
      "this build has no NCCL: configure with cmake --preset cuda (scripts/cuda_toolkit.sh brings what that "
      "needs), or set comm.backend to auto");
}

}  // namespace lockstep
