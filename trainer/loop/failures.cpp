#include "trainer/loop/failures.h"

#include "trainer/loop/agree.h"

namespace lockstep {

void Failures::require_none() const {
  agree(comm_, "failure", [&] {
    if (divergence_) std::rethrow_exception(divergence_);
    if (failure_) std::rethrow_exception(failure_);
  });
}

void Failures::require_finite() const {
  agree(comm_, "divergence", [&] {
    if (divergence_) std::rethrow_exception(divergence_);
  });
}

}  // namespace lockstep
