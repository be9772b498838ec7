#include "trainer/optim/sgd.h"

#include <utility>

#include "layers/ops/device.h"

namespace lockstep {

Sgd::Sgd(const OptimizerConfig& config, std::vector<TreatedRange> ranges, std::size_t arena,
         const Device& device)
    : momentum_(static_cast<float>(config.momentum)),
      nesterov_(config.nesterov),
      ranges_(std::move(ranges)),
      arena_(arena),
      device_(device),
      buffer_(device, config.momentum == 0 ? 0 : arena) {}

void Sgd::update(std::span<float> parameters, std::span<const float> gradients, double lr,
                 std::int64_t /*step*/) {
  check_arenas(parameters, gradients, arena_);
  float* const buffer = buffer_.on_device().data();
  for (const TreatedRange& range : ranges_) {
    const SgdScalars scalars{static_cast<float>(lr * range.lr_scale), momentum_,
                             static_cast<float>(range.weight_decay)};
    device_.update_sgd(parameters.data() + range.offset, gradients.data() + range.offset,
                       buffer == nullptr ? nullptr : buffer + range.offset, nesterov_, scalars,
                       static_cast<std::int64_t>(range.count));
  }
}

std::vector<OptimizerState> Sgd::state() {
  if (buffer_.size() == 0) return {};
  return {{"momentum", buffer_.on_host()}};
}

}  // namespace lockstep
