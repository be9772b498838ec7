#include "trainer/optim/sgd.h"

#include <cstddef>
#include <utility>

#include "layers/ops/update.h"

namespace lockstep {
namespace {

void plain(float* p, const float* g, std::size_t n, SgdScalars s) {
  for (std::size_t i = 0; i < n; ++i) update_plain(p[i], g[i], s);
}

void with_momentum(float* p, const float* g, float* buffer, std::size_t n, SgdScalars s) {
  for (std::size_t i = 0; i < n; ++i) update_with_momentum(p[i], g[i], buffer[i], s);
}

void with_nesterov(float* p, const float* g, float* buffer, std::size_t n, SgdScalars s) {
  for (std::size_t i = 0; i < n; ++i) update_with_nesterov(p[i], g[i], buffer[i], s);
}

}  // namespace

Sgd::Sgd(const OptimizerConfig& config, std::vector<TreatedRange> ranges, std::size_t arena)
    : momentum_(static_cast<float>(config.momentum)),
      nesterov_(config.nesterov),
      ranges_(std::move(ranges)),
      arena_(arena),
      buffer_(config.momentum == 0 ? 0 : arena) {}

void Sgd::update(std::span<float> parameters, std::span<const float> gradients, double lr,
                 std::int64_t /*step*/) {
  check_arenas(parameters, gradients, arena_);
  for (const TreatedRange& range : ranges_) {
    float* p = parameters.data() + range.offset;
    const float* g = gradients.data() + range.offset;
    const SgdScalars s{static_cast<float>(lr * range.lr_scale), momentum_,
                       static_cast<float>(range.weight_decay)};
    if (buffer_.empty()) {
      plain(p, g, range.count, s);
    } else if (nesterov_) {
      with_nesterov(p, g, buffer_.data() + range.offset, range.count, s);
    } else {
      with_momentum(p, g, buffer_.data() + range.offset, range.count, s);
    }
  }
}

std::vector<OptimizerState> Sgd::state() {
  if (buffer_.empty()) return {};
  return {{"momentum", buffer_}};
}

}  // namespace lockstep
