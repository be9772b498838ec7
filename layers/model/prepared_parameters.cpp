#include "layers/model/prepared_parameters.h"

#include <algorithm>

#include "layers/tensor/buffer.h"

namespace lockstep {

PreparedParameters::PreparedParameters(const Program& program,
                                       std::span<const std::unique_ptr<Kernel>> kernels)
    : stay_(program.options.deployed) {
  std::size_t end = 0;
  uses_.reserve(program.segments.size());
  for (const Segment& segment : program.segments) {
    if (!stay_) end = 0;
    std::vector<Use>& uses = uses_.emplace_back();
    for (int number = segment.begin; number < segment.end; ++number) {
      const Action& action = program.actions[static_cast<std::size_t>(number)];
      Kernel* const kernel = action.op < 0 ? nullptr : kernels[static_cast<std::size_t>(action.op)].get();
      const Pass pass = action.kind == Action::Kind::backward ? Pass::backward : Pass::forward;
      if (kernel == nullptr || kernel->prepared_bytes(pass) == 0) continue;
      uses.push_back({kernel, action.op, pass, end});
      end += aligned(kernel->prepared_bytes(pass));
    }
    bytes_ = std::max(bytes_, end);
  }
}

bool PreparedParameters::prepare(const Device& device, std::size_t segment, const Values& values) {
  if (all_there_) return false;
  memory_.reserve(device, bytes_);
  for (const Use& use : uses_[segment]) {
    use.kernel->prepare(use.pass, values(use.op), memory_.data() + use.offset);
  }
  all_there_ = stay_ && segment + 1 == uses_.size();
  return !uses_[segment].empty();
}

}  // namespace lockstep
