#pragma once

#include "comm/base/host_device.h"

namespace lockstep {

// Merges the moments (mean and sum of squared deviations, M2) of some values into those of others. The
// parallel formula of Chan, Golub and LeVeque (1979), equations 2.1, in fp64, so no precision is lost where
// the mean is large. right_count ≥ 1; left_count may be 0: then left, which is to be 0 and 0, becomes right.
class MomentsMerge {
 public:
  LOCKSTEP_HOST_DEVICE MomentsMerge(double left_count, double right_count)
      : share_(right_count / (left_count + right_count)), spread_(left_count * share_) {}

  LOCKSTEP_HOST_DEVICE void operator()(double& mean, double& m2, double right_mean, double right_m2) const {
    const double delta = right_mean - mean;
    mean += delta * share_;
    m2 += right_m2 + delta * delta * spread_;
  }

 private:
  double share_;
  double spread_;
};

}  // namespace lockstep
