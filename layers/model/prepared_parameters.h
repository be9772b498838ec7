#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "layers/model/program.h"
#include "layers/ops/kernel.h"
#include "layers/ops/memory.h"

namespace lockstep {

// The parameters of a program's kernels as these read them. While a network learns they are brought there for
// one segment at a time and all segments share the memory; where it is deployed they stay.
class PreparedParameters {
 public:
  PreparedParameters() = default;
  // kernels: an op each, of which those that are not null outlive this.
  PreparedParameters(const Program& program, std::span<const std::unique_ptr<Kernel>> kernels);

  std::size_t bytes() const { return bytes_; }

  using Values = std::function<std::array<const float*, max_parameters>(int op)>;
  // On one thread, before any shard goes through the segment of this number. Answers whether the device was
  // given anything to do. Segments come in order.
  bool prepare(const Device& device, std::size_t segment, const Values& values);

 private:
  struct Use {
    Kernel* kernel = nullptr;
    int op = 0;
    Pass pass = Pass::forward;
    std::size_t offset = 0;  // in the memory
  };

  bool stay_ = false;
  std::vector<std::vector<Use>> uses_;  // of a segment
  std::size_t bytes_ = 0;
  Memory memory_;
  bool all_there_ = false;
};

}  // namespace lockstep
