#pragma once

#include <cstddef>
#include <vector>

#include "layers/nn/parameter.h"

namespace lockstep {

// A copy of a run's state to go back to, bit for bit.
class Snapshot {
 public:
  void take(const std::vector<ModelTensor>& state);
  // `state`: the tensors that were taken, in the same order.
  void restore(const std::vector<ModelTensor>& state) const;
  // The same tensors as they were when they were taken, in this snapshot's memory.
  std::vector<ModelTensor> taken(std::vector<ModelTensor> state);

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace lockstep
