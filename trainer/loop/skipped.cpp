#include "trainer/loop/skipped.h"

#include <algorithm>

#include "comm/base/log.h"

namespace lockstep {

void tell_skipped(const Datasets& data) {
  constexpr std::size_t most = 10;
  if (data.skipped.empty()) return;
  for (std::size_t i = 0; i < std::min(most, data.skipped.size()); ++i) {
    spdlog::warn("left out: {}", data.skipped[i]);
  }
  spdlog::warn("{} corrupt image(s) left out (data.on_corrupt: skip)", data.skipped.size());
}

}  // namespace lockstep
